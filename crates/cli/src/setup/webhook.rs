//! Points the App's webhook at the deployment.

use ecsrunner_github::Client;

use super::target::Target;
use crate::exit::Failure;
use crate::output::say;
use crate::random;

/// Compares the App's webhook with the deployment's URL, and sets it if it differs.
pub(super) async fn settle(target: &Target, client: &Client) -> Result<(), Failure> {
    let Some(url) = target.webhook_url() else { return Ok(()) };
    let current = client.webhook_config().await.map_err(Failure::of_github)?;
    let current = current.and_then(|config| config.url).filter(|url| !url.is_empty());
    let known = target.webhook_secret().await?;
    if current.as_deref() == Some(url) && known.is_some() {
        return Ok(());
    }
    let secret = match known {
        Some(secret) => secret,
        None => {
            // The App's own secret cannot be read again, so both sides get a new one.
            let secret = random::secret()?;
            target.store_webhook_secret(&secret).await?;
            say(&format!("stored a new webhook secret in {}", target.webhook_place()));
            secret
        }
    };
    client.set_webhook(url, Some(&secret)).await.map_err(Failure::of_github)?;
    match current {
        Some(before) if before == url => say("gave the App's webhook the new secret"),
        Some(before) => say(&format!("changed the App's webhook from {before} to {url}")),
        None => say(&format!("set the App's webhook to {url}")),
    }
    Ok(())
}
