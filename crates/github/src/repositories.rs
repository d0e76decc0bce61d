//! Lists the repositories that the credentials reach: an App's by its
//! installations, a token's by its user.

use std::fmt;

use ecsrunner_core::decide::sweep::repositories::Listed;
use ecsrunner_core::id::{Account, Repository};
use ecsrunner_engine::ports::github::{GitHubError, RepositoryPage};
use serde::Deserialize;

use crate::auth::{Grant, InstallationId};
use crate::client::Client;
use crate::http::Call;
use crate::operator::Installation;
use crate::reply::Fault;

const PAGE: usize = 100;
/// The most repositories of an installation or a user that are listed, in pages.
const PAGES_LIMIT: u32 = 1000;

/// The page to read: of this installation, or of the token's user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cursor {
    installation: Option<InstallationId>,
    page: u32,
}

/// Lists a page of repositories of this owner, or of all owners.
pub(crate) async fn page(
    client: &Client,
    owner: Option<&Account>,
    cursor: Option<&str>,
) -> Result<RepositoryPage, Fault> {
    let cursor = cursor.and_then(Cursor::parse);
    let Some(installations) = installations(client, owner).await? else {
        return of_token(client, owner, cursor.map_or(1, |cursor| cursor.page)).await;
    };
    let current = match cursor {
        Some(Cursor { installation: Some(id), page }) if installations.contains(&id) => Some((id, page)),
        // The installation was removed meanwhile: continue with the next one.
        Some(Cursor { installation: Some(id), .. }) => following(&installations, id),
        _ => installations.first().map(|first| (*first, 1)),
    };
    let Some((id, number)) = current else {
        return Ok(RepositoryPage { repositories: Vec::new(), next: None, calls: 1, passed_over: None });
    };
    of_installation(client, owner, &installations, id, number).await
}

/// Returns the installations to read, in the order of their ids; `None` with a token.
async fn installations(
    client: &Client,
    owner: Option<&Account>,
) -> Result<Option<Vec<InstallationId>>, Fault> {
    if let Some(configured) = client.configured_installation() {
        return Ok(Some(vec![configured]));
    }
    let Some(installations) = client.list_installations().await? else { return Ok(None) };
    let is_wanted = |installation: &Installation| {
        installation.suspended_at.is_none()
            && owner.is_none_or(|owner| installation.account.eq_ignore_ascii_case(owner.as_str()))
    };
    let mut ids: Vec<InstallationId> =
        installations.iter().filter(|it| is_wanted(it)).map(|it| InstallationId::new(it.id)).collect();
    ids.sort_by_key(|id| id.get());
    Ok(Some(ids))
}

fn following(installations: &[InstallationId], id: InstallationId) -> Option<(InstallationId, u32)> {
    installations.iter().find(|next| next.get() > id.get()).map(|next| (*next, 1))
}

async fn of_installation(
    client: &Client,
    owner: Option<&Account>,
    installations: &[InstallationId],
    id: InstallationId,
    number: u32,
) -> Result<RepositoryPage, Fault> {
    #[derive(Deserialize)]
    struct Page {
        repositories: Vec<ListedRepository>,
    }
    let call = list("list-installation-repositories", id, "installation/repositories", number);
    let answer = client.ask(&Grant::Installation(id), &call).await.and_then(|reply| reply.json::<Page>());
    let (page, passed_over) = match answer {
        Ok(page) => (page.repositories, None),
        Err(fault) if fault.is_throttled() => return Err(fault),
        // One installation must not hold up the others.
        Err(fault) => (Vec::new(), Some(GitHubError::from(fault).to_string())),
    };
    let more = page.len() >= PAGE && number < PAGES_LIMIT;
    let next = if more { Some((id, number + 1)) } else { following(installations, id) };
    let next = next.map(|(id, page)| Cursor { installation: Some(id), page }.to_string());
    // One call lists the App's installations.
    Ok(RepositoryPage { repositories: read(page, owner), next, calls: 2, passed_over })
}

async fn of_token(client: &Client, owner: Option<&Account>, number: u32) -> Result<RepositoryPage, Fault> {
    let call = list("list-repositories", "the token's user", "user/repos", number);
    let Some(reply) = client.ask_as_user(&call).await? else {
        return Ok(RepositoryPage { repositories: Vec::new(), next: None, calls: 0, passed_over: None });
    };
    let page: Vec<ListedRepository> = reply.json()?;
    let more = page.len() >= PAGE && number < PAGES_LIMIT;
    let next = more.then(|| Cursor { installation: None, page: number + 1 }.to_string());
    Ok(RepositoryPage { repositories: read(page, owner), next, calls: 1, passed_over: None })
}

fn list(operation: &'static str, subject: impl fmt::Display, path: &str, number: u32) -> Call {
    Call::get(operation, subject, path.to_owned()).query("per_page", PAGE).query("page", number)
}

fn read(listed: Vec<ListedRepository>, owner: Option<&Account>) -> Vec<Listed> {
    let listed = listed.into_iter().filter_map(ListedRepository::read);
    listed.filter(|listed| owner.is_none_or(|owner| listed.name.account() == *owner)).collect()
}

#[derive(Deserialize)]
struct ListedRepository {
    full_name: String,
    private: bool,
    /// Neither an archived nor a disabled repository runs jobs.
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    disabled: bool,
}

impl ListedRepository {
    fn read(self) -> Option<Listed> {
        let active = !self.archived && !self.disabled;
        Some(Listed { name: Repository::parse(&self.full_name).ok()?, private: self.private, active })
    }
}

impl Cursor {
    /// Reads what `Display` has written: `PAGE`, or `INSTALLATION:PAGE`.
    fn parse(text: &str) -> Option<Self> {
        let (installation, page) = match text.split_once(':') {
            Some((id, page)) => (Some(InstallationId::new(id.parse().ok()?)), page),
            None => (None, text),
        };
        Some(Self { installation, page: page.parse().ok()? })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.installation {
            Some(id) => write!(f, "{id}:{}", self.page),
            None => write!(f, "{}", self.page),
        }
    }
}
