//! Which instruction set the kernels run on: chosen once at run time, or forced.

use std::sync::OnceLock;

/// An instruction set that a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Isa {
    /// What every CPU of the target has.
    Baseline,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 512-bit vectors (F, VL, BW and DQ).
    Avx512,
}

impl Isa {
    /// The name that `CANDOR_ISA` takes.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Baseline => "baseline",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// All instruction sets that this CPU has, the widest last.
    pub fn available() -> Vec<Isa> {
        let mut found = vec![Isa::Baseline];
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
                found.push(Isa::Avx2);
                if std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                {
                    found.push(Isa::Avx512);
                }
            }
        }
        found
    }

    /// The instruction set in use: the widest that this CPU has, or the one that the environment
    /// variable `CANDOR_ISA` (`baseline`, `avx2`, `avx512`) names if the CPU has it.
    pub fn current() -> Isa {
        static CURRENT: OnceLock<Isa> = OnceLock::new();
        *CURRENT.get_or_init(|| {
            let available = Isa::available();
            let wanted = std::env::var("CANDOR_ISA").ok();
            let forced = available.iter().copied().find(|isa| Some(isa.name()) == wanted.as_deref());
            forced.or(available.last().copied()).unwrap_or(Isa::Baseline)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_baseline_is_always_there_and_the_current_one_is_available() {
        let available = Isa::available();
        assert_eq!(available[0], Isa::Baseline);
        assert!(available.contains(&Isa::current()));
    }
}
