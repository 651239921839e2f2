//! Statistics on paired, clustered scores: numbers and names in, numbers out.
