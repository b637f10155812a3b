//! The one file that draws from chance.

/// Random bytes of the operating system, for keys and secrets.
///
/// # Panics
/// If the system has none: no secret may be drawn from anything else.
#[expect(clippy::expect_used, reason = "a server without randomness must not run")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A source of random numbers for ids, which asks the operating system for many at a time.
pub fn numbers() -> impl FnMut() -> u128 + Send + 'static {
    let mut left: Vec<u128> = Vec::new();
    move || {
        if left.is_empty() {
            let drawn: [u8; 4096] = bytes();
            left.extend(drawn.as_chunks::<16>().0.iter().map(|chunk| u128::from_be_bytes(*chunk)));
        }
        left.pop().unwrap_or_default()
    }
}
