//! Base64 with padding (RFC 4648), read strictly: of each text of bytes exactly one is read.

use data_encoding::BASE64;

use crate::chain::Hash;

/// With padding, in the alphabet with `+` and `/`.
pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Nothing if `text` is not what [`encode`] writes.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    // The library also reads padded texts behind each other, which decode to the bytes of another text too.
    let unpadded = text.len().saturating_sub(2);
    if text.bytes().take(unpadded).any(|b| b == b'=') {
        return None;
    }
    BASE64.decode(text.as_bytes()).ok()
}

/// The 32 bytes of a hash.
pub(crate) fn decode_hash(text: &str) -> Option<Hash> {
    decode(text)?.try_into().ok().map(Hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_is_read() {
        for bytes in [&b""[..], b"a", b"ab", b"abc", b"abcd", &[0xff; 32]] {
            assert_eq!(decode(&encode(bytes)).as_deref(), Some(bytes));
        }
        for text in ["YQ", "YQ=", "YR==", "YWI", "YWJ=", "YQ==YQ==", "YWI=YWI=", "=", "==", "YQ==\n", " YQ==", "-_-_", "YQ==="] {
            assert_eq!(decode(text), None, "{text}");
        }
        assert_eq!(decode_hash(&encode(&[7; 32])), Some(Hash([7; 32])));
        assert_eq!(decode_hash(&encode(&[7; 31])), None);
    }
}
