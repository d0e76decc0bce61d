//! Random texts that nobody can guess.

use anyhow::anyhow;
use secrecy::SecretString;

/// In bytes.
const LENGTH: usize = 32;

/// Returns 256 random bits as hexadecimal digits.
pub(crate) fn text() -> Result<String, anyhow::Error> {
    let mut bytes = [0; LENGTH];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow!("the system's random number generator failed"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Makes a secret for a webhook.
pub(crate) fn secret() -> Result<SecretString, anyhow::Error> {
    text().map(SecretString::from)
}
