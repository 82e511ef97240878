//! SHA-256 as text.

use sha2::{Digest, Sha256};

/// Two lower-case hexadecimal digits a byte.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// `sha256:` and 64 hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    named(&Sha256::digest(bytes))
}

/// The same of a digest that was computed elsewhere.
pub fn named(digest: &[u8]) -> String {
    format!("sha256:{}", hex(digest))
}

/// The first 16 hexadecimal digits: enough to tell apart what nobody forges.
pub fn short(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The empty message of FIPS 180-4's test vectors.
    #[test]
    fn digests_are_those_of_the_standard() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b""), format!("sha256:{empty}"));
        assert_eq!(short(b""), empty[..16]);
        assert_eq!(hex(&[0, 0x0f, 0xf0, 0xff]), "000ff0ff");
    }
}
