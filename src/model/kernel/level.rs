//! Finds the machine's instruction set when the program runs, so that one portable binary serves every machine.

/// What the f32 kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// With its BW, DQ and VL parts, which every AVX-512 server since 2017 has.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Level {
    /// The widest of this machine.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                return Level::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Level::Avx2;
            }
        }
        Level::Portable
    }

    /// All of this machine, widest first: tests compare them.
    #[cfg(test)]
    pub fn all() -> Vec<Self> {
        let mut levels = vec![Level::detect()];
        #[cfg(target_arch = "x86_64")]
        if levels[0] == Level::Avx512 {
            levels.push(Level::Avx2);
        }
        if levels[0] != Level::Portable {
            levels.push(Level::Portable);
        }
        levels
    }
}

/// Defines functions whose bodies are compiled for each [`Level`]; a call takes the level first.
///
/// Rust never contracts `a * b + c`, so wider registers change no bit.
macro_rules! at_each_level {
    ($($(#[$attr:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => { $(
        $(#[$attr])*
        $vis fn $name(level: $crate::model::kernel::level::Level, $($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn portable($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512($($arg: $ty),*) $(-> $ret)? { portable($($arg),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) $(-> $ret)? { portable($($arg),*) }
            match level {
                // SAFETY: a level is only made where it was detected.
                #[cfg(target_arch = "x86_64")]
                $crate::model::kernel::level::Level::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::model::kernel::level::Level::Avx2 => unsafe { avx2($($arg),*) },
                $crate::model::kernel::level::Level::Portable => portable($($arg),*),
            }
        }
    )* };
}
pub(crate) use at_each_level;
