//! Keeps the answers of a running run, each committed as it ends, so that a crash loses nothing that was answered.
//!
//! An SQLite file beside the unfinished results. It is held for one process at a time and goes once the
//! results are complete.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::ResponseRow;

/// Version of the journal's own tables.
const FORMAT: i64 = 2;

pub struct Journal {
    path: PathBuf,
    connection: Connection,
}

impl Journal {
    /// Opens the journal at `path` or starts one that carries `manifest`.
    ///
    /// Errs when another process holds it or the file is none of ours. Whether the manifest that it
    /// carries is the one of this run is for the caller to compare: see [`Journal::manifest`].
    pub fn open(path: &Path, manifest: &str) -> Result<Self> {
        let connection = Connection::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
        connection.busy_timeout(std::time::Duration::from_millis(200))?;
        let journal = Self { path: path.to_owned(), connection };
        journal.prepare(manifest).map_err(|error| journal.explain(error))?;
        let format = journal.connection.query_row("SELECT format FROM header", [], |row| row.get::<_, i64>(0));
        let format = format.map_err(|error| journal.explain(error))?;
        if format != FORMAT {
            bail!(
                "{} has journal format {format}, this tiltmeter reads format {FORMAT}; finish that run with the \
                 version that began it, or start over with --fresh",
                path.display()
            );
        }
        Ok(journal)
    }

    fn prepare(&self, manifest: &str) -> rusqlite::Result<()> {
        // Exclusive: a second process is refused, and WAL needs no shared-memory file.
        self.connection.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
             BEGIN IMMEDIATE;
             CREATE TABLE IF NOT EXISTS header (format INTEGER NOT NULL, manifest TEXT NOT NULL);
             CREATE TABLE IF NOT EXISTS response (
                 sample INTEGER NOT NULL, \"case\" TEXT NOT NULL, finish TEXT NOT NULL,
                 prompt_tokens INTEGER, tokens INTEGER, text TEXT NOT NULL, \"values\" TEXT NOT NULL,
                 PRIMARY KEY (\"case\", sample)) WITHOUT ROWID;",
        )?;
        let begun = self.connection.query_row("SELECT 1 FROM header", [], |_| Ok(())).optional()?.is_some();
        if !begun {
            self.connection
                .execute("INSERT INTO header (format, manifest) VALUES (?1, ?2)", params![FORMAT, manifest])?;
        }
        self.connection.execute_batch("COMMIT")
    }

    /// The manifest that the journal was begun with.
    pub fn manifest(&self) -> Result<String> {
        self.connection
            .query_row("SELECT manifest FROM header", [], |row| row.get(0))
            .map_err(|error| self.explain(error))
    }

    /// Commits the rows together: on return they outlive this process.
    pub fn commit(&mut self, rows: &[ResponseRow]) -> Result<()> {
        self.insert(rows).map_err(|error| self.explain(error))
    }

    fn insert(&mut self, rows: &[ResponseRow]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare(
                "INSERT OR REPLACE INTO response (\"case\", sample, finish, prompt_tokens, tokens, text, \"values\")
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for row in rows {
                let (prompt_tokens, tokens) =
                    (row.prompt_tokens.map(|count| count as i64), row.tokens.map(|count| count as i64));
                insert.execute(params![
                    row.case,
                    row.sample,
                    row.finish,
                    prompt_tokens,
                    tokens,
                    row.text,
                    row.values
                ])?;
            }
        }
        transaction.commit()
    }

    /// Every answer so far, by case and sample.
    pub fn answers(&self) -> Result<BTreeMap<(String, u32), ResponseRow>> {
        self.select().map_err(|error| self.explain(error))
    }

    fn select(&self) -> rusqlite::Result<BTreeMap<(String, u32), ResponseRow>> {
        let mut select = self
            .connection
            .prepare("SELECT \"case\", sample, finish, prompt_tokens, tokens, text, \"values\" FROM response")?;
        let rows = select.query_map([], |row| {
            Ok(ResponseRow {
                case: row.get(0)?,
                sample: row.get(1)?,
                finish: row.get(2)?,
                prompt_tokens: row.get::<_, Option<i64>>(3)?.map(|count| count as usize),
                tokens: row.get::<_, Option<i64>>(4)?.map(|count| count as usize),
                text: row.get(5)?,
                values: row.get(6)?,
            })
        })?;
        rows.map(|row| row.map(|row| ((row.case.clone(), row.sample), row))).collect()
    }

    /// Closes the journal and removes its file, once the results are complete.
    pub fn remove(self) -> Result<()> {
        let Self { path, connection } = self;
        connection.close().map_err(|(_, error)| error).context("closing the journal")?;
        std::fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))
    }

    fn explain(&self, error: rusqlite::Error) -> anyhow::Error {
        let path = self.path.display();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => anyhow::anyhow!(
                "{path} is in use: another tiltmeter is running there; wait for it, or give this run a --label or \
                 an --out of its own"
            ),
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                anyhow::anyhow!("{path} is damaged ({error}); start the run over with --fresh")
            }
            _ => anyhow::anyhow!("{path}: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, sample: u32) -> ResponseRow {
        ResponseRow {
            case: case.into(),
            sample,
            finish: "stop".into(),
            prompt_tokens: Some(7),
            tokens: None,
            text: "a\nb\0".into(),
            values: "{\"yes\":-1.5}".into(),
        }
    }

    #[test]
    fn answers_outlive_the_process_and_keep_the_manifest_they_were_begun_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let mut journal = Journal::open(&path, "format: 1\n").unwrap();
        journal.commit(&[row("a", 0), row("b", 1)]).unwrap();
        drop(journal);
        let journal = Journal::open(&path, "format: 2\n").unwrap();
        assert_eq!(journal.manifest().unwrap(), "format: 1\n");
        assert_eq!(journal.answers().unwrap().into_values().collect::<Vec<_>>(), [row("a", 0), row("b", 1)]);
        journal.remove().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_journal_in_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        let _held = Journal::open(&path, "m").unwrap();
        let message = Journal::open(&path, "m").err().unwrap().to_string();
        assert!(message.contains("in use"), "{message}");
    }

    #[test]
    fn a_damaged_journal_is_named_and_not_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.sqlite");
        std::fs::write(
            &path,
            "this is no database, and long enough to be looked at by SQLite as if it were one. ".repeat(20),
        )
        .unwrap();
        let message = Journal::open(&path, "m").err().unwrap().to_string();
        assert!(message.contains("--fresh"), "{message}");
    }
}
