//! Random texts and bytes from the system.

use zeroize::Zeroizing;

use super::{Alphabet, Secret, SecretsError};

/// A text of `length` random letters.
pub(super) fn letters(alphabet: Alphabet, length: usize) -> Result<Secret, SecretsError> {
    let letters = alphabet.letters();
    // Without bytes from the last multiple on, every letter is equally likely.
    let limit = 256 - 256 % letters.len();
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let mut bytes = Zeroizing::new([0u8; 64]);
        fill(bytes.as_mut())?;
        let chosen = bytes.iter().map(|b| usize::from(*b)).filter(|b| *b < limit);
        text.extend(chosen.map(|b| letters[b % letters.len()] as char).take(length - text.len()));
    }
    Ok(Secret::new(text))
}

pub(super) fn fill(bytes: &mut [u8]) -> Result<(), SecretsError> {
    getrandom::fill(bytes).map_err(|e| SecretsError::NoEntropy(e.to_string()))
}
