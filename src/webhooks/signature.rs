//! What a webhook is signed with: HMAC-SHA256 over the bytes that are sent.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;

/// The value of the signature's header. The secret is the whole text, with its prefix.
pub fn signature(secret: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body);
    format!("sha256={}", HEXLOWER.encode(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_rfc_4231_says() {
        let cases = [
            ("\x0b".repeat(20), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            ("Jefe".to_owned(), "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        ];
        for (secret, body, expected) in cases {
            assert_eq!(signature(&secret, body.as_bytes()), format!("sha256={expected}"));
        }
    }
}
