//! Which instruction set the kernels run on: chosen once at run time, or forced.

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use super::vector::{Avx2, Avx512};
use super::vector::{Quads, Vector};

/// An instruction set that a kernel is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Isa {
    /// What every CPU of the target has, without fused multiply-add.
    Baseline,
    /// 128-bit vectors of 64-bit ARM, with fused multiply-add.
    Neon,
    /// 256-bit vectors with fused multiply-add and half precision (FMA, F16C).
    Avx2,
    /// 512-bit vectors (F, VL, BW and DQ).
    Avx512,
}

impl Isa {
    /// The name that `CANDOR_ISA` takes.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Baseline => "baseline",
            Isa::Neon => "neon",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// All instruction sets that this CPU has, the widest last.
    pub fn available() -> Vec<Isa> {
        [Isa::Baseline, Isa::Neon, Isa::Avx2, Isa::Avx512]
            .into_iter()
            .filter(|isa| isa.is_available())
            .collect()
    }

    /// Whether this CPU has it.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Baseline => true,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("fma")
                    && std::arch::is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                Isa::Avx2.is_available()
                    && std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512dq")
            }
            _ => false,
        }
    }

    /// The instruction set in use: the widest that this CPU has, or the one that the environment
    /// variable `CANDOR_ISA` (`baseline`, `neon`, `avx2`, `avx512`) names if the CPU has it.
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

/// A computation whose one body is compiled for every instruction set, with its vectors.
pub(super) trait VectorBody {
    /// What it gives.
    type Output;

    /// The body, always inlined.
    ///
    /// # Safety
    /// The implementation's own conditions; and the CPU must have the instruction set of `V`.
    unsafe fn run<V: Vector>(self) -> Self::Output;
}

/// A computation whose loops the compiler makes vectors of, for every instruction set.
pub(super) trait Body {
    /// What it gives.
    type Output;

    /// The body, always inlined. `FMA` says that multiply-add is fused, and on x86-64 that AVX2 is there.
    ///
    /// # Safety
    /// The implementation's own conditions; and those of `FMA`.
    unsafe fn run<const FMA: bool>(self) -> Self::Output;
}

/// A [`Body`] as one that leaves the vectors to the compiler.
struct Loops<B>(B);

impl<B: Body> VectorBody for Loops<B> {
    type Output = B::Output;

    /// # Safety
    /// The body's.
    #[inline(always)]
    unsafe fn run<V: Vector>(self) -> Self::Output {
        // SAFETY: passed on to the caller.
        unsafe { if V::FMA { self.0.run::<true>() } else { self.0.run::<false>() } }
    }
}

/// Runs a body on an instruction set.
///
/// # Safety
/// As [`run_vectors`].
#[inline]
pub(super) unsafe fn run_on<B: Body>(isa: Isa, body: B) -> B::Output {
    // SAFETY: passed on to the caller.
    unsafe { run_vectors(isa, Loops(body)) }
}

/// Runs a body on an instruction set.
///
/// # Safety
/// The CPU must have the instruction set ([`Isa::is_available`]), and the body's conditions must hold.
#[inline]
pub(super) unsafe fn run_vectors<B: VectorBody>(isa: Isa, body: B) -> B::Output {
    // SAFETY: passed on to the caller.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => on_avx512(body),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => on_avx2(body),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => on_neon(body),
            _ => body.run::<Quads<false>>(),
        }
    }
}

/// # Safety
/// As [`run_vectors`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,f16c")]
unsafe fn on_avx512<B: VectorBody>(body: B) -> B::Output {
    // SAFETY: passed on to the caller.
    unsafe { body.run::<Avx512>() }
}

/// # Safety
/// As [`run_vectors`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn on_avx2<B: VectorBody>(body: B) -> B::Output {
    // SAFETY: passed on to the caller.
    unsafe { body.run::<Avx2>() }
}

/// # Safety
/// As [`run_vectors`].
#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
unsafe fn on_neon<B: VectorBody>(body: B) -> B::Output {
    // SAFETY: passed on to the caller.
    unsafe { body.run::<Quads<true>>() }
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
