//! Numbers in place: the double that serde_json's `float_roundtrip` would give, or nothing.
//!
//! A decimal of few digits is exact as a quotient: its digits are an integer up to 2^53, the power of
//! ten up to 10^22 is a double, and one division rounds once (Clinger, "How to Read Floating Point
//! Numbers Accurately", 1990). Everything else is left to `str::parse`, which rounds correctly, too.

/// All powers of ten that are doubles.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];
const EXACT_MAX: u64 = 1 << 53;
/// So many digits always fit into 64 bits.
const DIGITS_MAX: usize = 19;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// A number as serde_json tells them apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Integer(i64),
    Float(f64),
}

/// The number that `rest` begins with as a double, and its length in bytes. `None`: it is no JSON
/// number, or beyond `f64`. What follows is not looked at, not even whether it is an exponent: behind a
/// number there must be a literal, and none begins with that.
#[inline(always)]
pub(super) fn double(rest: &[u8]) -> Option<(f64, usize)> {
    match short(rest) {
        Some(found) => Some(found),
        None => other(rest),
    }
}

#[inline(never)]
fn other(rest: &[u8]) -> Option<(f64, usize)> {
    match rest.strip_prefix(b"-").and_then(short) {
        Some((value, len)) => Some((-value, len + 1)),
        None => whole(rest),
    }
}

/// As `double`, with integers as such. `None` also for integers that may be beyond 64 bits, and for
/// `-0`, which serde_json takes for a float.
pub(super) fn number(rest: &[u8]) -> Option<(Number, usize)> {
    let token = Token::scan(rest)?;
    if !token.is_integer() {
        return whole(rest).map(|(value, len)| (Number::Float(value), len));
    }
    if token.digits >= DIGITS_MAX || (token.negative && token.mantissa == 0) {
        return None;
    }
    let value = i64::try_from(token.mantissa).ok()?;
    Some((Number::Integer(if token.negative { -value } else { value }), token.len))
}

/// Up to seven characters without a sign, all in one word, however many of them are digits: numbers
/// of varying width take the same branches.
#[inline(always)]
fn short(rest: &[u8]) -> Option<(f64, usize)> {
    let word = u64::from_le_bytes(*rest.first_chunk()?);
    let (digits, others) = digits_and_others(word);
    // Bits, eight for each character: up to the first that is no digit, and up to the one after.
    let whole = others.trailing_zeros() & !7;
    let more = others & others.wrapping_sub(1);
    if whole == 0 || whole == 64 || (whole > 8 && digits & 0xff == 0) {
        return None;
    }
    if (word >> whole) & 0xff == u64::from(b'.') {
        let end = more.trailing_zeros() & !7;
        let before = (others ^ others.wrapping_sub(1)) >> 8;
        let joined = digits >> 8;
        let joined = joined ^ ((joined ^ digits) & before);
        let fraction = (end - whole) / 8 - 1;
        if more == 0 || fraction == 0 {
            return None;
        }
        let mantissa = eight_digits(joined << (72 - end));
        Some((small(mantissa) / POWERS[fraction as usize & 7], (end / 8) as usize))
    } else {
        Some((small(eight_digits(digits << (64 - whole))), (whole / 8) as usize))
    }
}

/// As `double`, with its exponent in any case.
pub(super) fn whole(rest: &[u8]) -> Option<(f64, usize)> {
    let token = Token::scan(rest)?;
    let exact = token.digits <= DIGITS_MAX && token.mantissa <= EXACT_MAX;
    if exact && !token.exponent && token.fraction < POWERS.len() {
        return Some((quotient(token.negative, token.mantissa, token.fraction), token.len));
    }
    let text = std::str::from_utf8(rest.get(..token.len)?).ok()?;
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some((value, token.len))
}

#[inline]
fn quotient(negative: bool, mantissa: u64, fraction: usize) -> f64 {
    let value = mantissa as f64 / POWERS[fraction];
    f64::from_bits(value.to_bits() | (u64::from(negative) << 63))
}

/// A JSON number by its grammar (RFC 8259, 6).
struct Token {
    negative: bool,
    /// All digits before the exponent as one integer; of use only where `digits` is small.
    mantissa: u64,
    digits: usize,
    fraction: usize,
    exponent: bool,
    len: usize,
}

impl Token {
    fn scan(rest: &[u8]) -> Option<Token> {
        let negative = *rest.first()? == b'-';
        let mut len = usize::from(negative);
        let first = rest.get(len);
        let (mut mantissa, mut digits) = read_digits(rest.get(len..)?, 0);
        if digits == 0 || (digits > 1 && first == Some(&b'0')) {
            return None;
        }
        len += digits;
        let mut fraction = 0;
        if rest.get(len) == Some(&b'.') {
            (mantissa, fraction) = read_digits(rest.get(len + 1..)?, mantissa);
            if fraction == 0 {
                return None;
            }
            digits += fraction;
            len += 1 + fraction;
        }
        let exponent = matches!(rest.get(len), Some(b'e' | b'E'));
        if exponent {
            len += 1 + usize::from(matches!(rest.get(len + 1), Some(b'+' | b'-')));
            let (_, count) = read_digits(rest.get(len..)?, 0);
            if count == 0 {
                return None;
            }
            len += count;
        }
        Some(Token { negative, mantissa, digits, fraction, exponent, len })
    }

    fn is_integer(&self) -> bool {
        self.fraction == 0 && !self.exponent
    }
}

/// Appends the digits in front to `value`, which wraps around where they are too many; and their count.
fn read_digits(rest: &[u8], mut value: u64) -> (u64, usize) {
    let mut count = 0;
    while let Some(chunk) = rest.get(count..).and_then(|rest| rest.first_chunk()) {
        let (digits, others) = digits_and_others(u64::from_le_bytes(*chunk));
        let more = others.trailing_zeros() / 8;
        if more == 0 {
            return (value, count);
        }
        let ahead = eight_digits(digits << (64 - 8 * more));
        value = value.wrapping_mul(10_u64.pow(more)).wrapping_add(ahead);
        count += more as usize;
        if more < 8 {
            return (value, count);
        }
    }
    for byte in rest.get(count..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
        count += 1;
    }
    (value, count)
}

/// The word with its digits as their values, and the high bit of each byte that is no digit: exact up
/// to the first byte above 0xb9, since only there the addition carries.
#[inline]
fn digits_and_others(word: u64) -> (u64, u64) {
    let digits = word ^ 0x3030_3030_3030_3030;
    (digits, (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & HIGH_BITS)
}

/// An integer below 2^52 as a double: as the last bits of one between 2^52 and 2^53, less 2^52. The
/// processor's own conversion writes half a register only, and so waits for the number before.
#[inline]
fn small(value: u64) -> f64 {
    const BASE: f64 = 4_503_599_627_370_496.0;
    f64::from_bits(BASE.to_bits() | value) - BASE
}

/// Eight digits, the first in the lowest byte, to their value: pairs, then fours, then all.
#[inline]
fn eight_digits(digits: u64) -> u64 {
    const EVERY_FOURTH: u64 = 0x0000_00ff_0000_00ff;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let high = (pairs & EVERY_FOURTH).wrapping_mul(0x000f_4240_0000_0064);
    let low = ((pairs >> 16) & EVERY_FOURTH).wrapping_mul(0x0000_2710_0000_0001);
    high.wrapping_add(low) >> 32
}
