//! Functions whose last bit `std` leaves to the platform, from `libm`, so that native and
//! WebAssembly give the same bits. What `f64` has exactly (`+ - * /`, `sqrt`, `abs`, `floor`,
//! `mul_add`, …) may be used as it is.
//!
//! Two things are still the platform's: the sign and payload of a NaN that arithmetic makes, and which
//! zero `min(0.0, -0.0)` gives. Neither shows in findings; a state that keeps such a NaN is saved as
//! other bytes.

pub use libm::{
    acos, acosh, asin, asinh, atan, atan2, atanh, cbrt, cos, cosh, erf, erfc, exp, exp2, exp10, expm1, fmod,
    hypot, lgamma, log as ln, log1p as ln_1p, log2, log10, pow as powf, sin, sinh, sqrt, tan, tanh, tgamma,
};

/// The smaller one; the second where one is NaN. A single instruction in WebAssembly as natively, which
/// `f32::min` is not, as it has to look for NaNs.
#[inline(always)]
pub fn lower(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// The larger one; as `lower`.
#[inline(always)]
pub fn higher(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// `base` to a whole power, by squaring: always the same multiplications, unlike `f64::powi`.
pub fn powi(base: f64, exponent: i32) -> f64 {
    let (mut square, mut rest, mut product) = (base, exponent.unsigned_abs(), 1.0);
    while rest > 0 {
        if rest & 1 == 1 {
            product *= square;
        }
        square *= square;
        rest >>= 1;
    }
    if exponent < 0 { 1.0 / product } else { product }
}

#[cfg(test)]
mod tests {
    #[test]
    fn powers_by_squaring() {
        assert_eq!(super::powi(3.0, 5), 243.0);
        assert_eq!(super::powi(2.0, -3), 0.125);
        assert_eq!(super::powi(7.5, 0), 1.0);
        assert_eq!(super::powi(2.0, i32::MIN), 0.0);
    }
}
