//! The users of this machine that runners run as.

use std::ffi::CString;
use std::fs::{self, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

use nix::unistd::{Gid, Uid, User, getgrouplist};
use serde::{Deserialize, Serialize};

/// Which users runners run as.
#[derive(Clone, Debug)]
pub(crate) enum RunnerUsers {
    /// All runners share the server's user, because it is not root.
    Shared,
    /// Each runner gets its own user id, from this one upwards.
    From(u32),
    /// Each runner gets one of these accounts.
    Named(Vec<Account>),
}

/// A user and its groups.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    /// The account's name. A user id may have no account.
    pub(crate) name: Option<String>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// All groups, the primary one included.
    pub(crate) groups: Vec<u32>,
}

impl Account {
    /// Returns the user with this id. Without an account, its group id equals its
    /// user id, as the agent assumes too.
    pub(crate) fn of(uid: u32) -> Self {
        match User::from_uid(Uid::from_raw(uid)) {
            Ok(Some(user)) => Self::known(user),
            _ => Self { name: None, uid, gid: uid, groups: vec![uid] },
        }
    }

    fn known(user: User) -> Self {
        let gid = user.gid.as_raw();
        let groups = CString::new(user.name.as_str())
            .map_err(io::Error::from)
            .and_then(|name| Ok(getgrouplist(&name, user.gid)?))
            .map_or_else(|_| vec![gid], |groups| groups.into_iter().map(Gid::as_raw).collect());
        Self { name: Some(user.name), uid: user.uid.as_raw(), gid, groups }
    }

    /// Returns the name of the user in error texts.
    pub(crate) fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("the user `{name}`"),
            None => format!("user id {}", self.uid),
        }
    }
}

impl RunnerUsers {
    /// Whether one of the runners' users may write to a file: as its owner, by
    /// its group, or because everyone may. Access control lists are not read.
    pub(crate) fn may_write(&self, metadata: &Metadata) -> bool {
        // In a directory with the sticky bit, only owners can replace entries.
        let is_sticky = metadata.is_dir() && metadata.mode() & 0o1000 != 0;
        let (by_group, by_all) = (metadata.mode() & 0o020 != 0, metadata.mode() & 0o002 != 0);
        let (owns, in_group) = match self {
            Self::Shared => return false,
            Self::From(first) => {
                let ids = ids_from(*first);
                (ids.contains(&metadata.uid()), ids.contains(&metadata.gid()))
            }
            Self::Named(accounts) => (
                accounts.iter().any(|account| account.uid == metadata.uid()),
                accounts.iter().any(|account| account.groups.contains(&metadata.gid())),
            ),
        };
        owns || (!is_sticky && (by_all || (by_group && in_group)))
    }
}

/// The user ids that systemd gives to services with `DynamicUser=` (systemd's docs/UIDS-GIDS.md).
const DYNAMIC: Range<u32> = 61_184..65_520;
/// Where user ids of runners begin: above the 16-bit ids, which distributions divide among people, services and
/// `nobody`, and below 100000, where `useradd` begins with ids of containers (`SUB_UID_MIN` in login.defs).
const FIRST: u32 = 70_000;
/// Where they begin in a container that has no higher ids: between those of systemd's greeters and of its services.
const FIRST_OF_16_BITS: u32 = 60_706;

/// Returns the user ids that runners without accounts may get.
pub(crate) fn ids_from(first: u32) -> Range<u32> {
    const IDS: u32 = 4_000;
    let last = first.saturating_add(IDS);
    first..if first < DYNAMIC.start { last.min(DYNAMIC.start) } else { last }
}

/// Returns where user ids of runners begin if the configuration does not say it.
pub(crate) fn default_first_uid() -> u32 {
    let has_ids = |map: &str| fs::read_to_string(map).is_ok_and(|map| maps(&map, &ids_from(FIRST)));
    let has_all = ["/proc/self/uid_map", "/proc/self/gid_map"].into_iter().all(has_ids);
    if has_all { FIRST } else { FIRST_OF_16_BITS }
}

/// Whether a namespace of users has these ids, by its map: the first id in it, that outside, and how many.
fn maps(map: &str, ids: &Range<u32>) -> bool {
    map.lines().any(|line| {
        let mut words = line.split_ascii_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), Some(Ok(count))) = (words.next(), words.nth(1)) else { return false };
        first <= u64::from(ids.start) && u64::from(ids.end) <= first + count
    })
}

/// Returns who else is given user ids that runners may get: processes of two owners with one id can read and kill each
/// other.
pub(crate) fn others_with(ids: &Range<u32>) -> Option<String> {
    let subordinate = fs::read_to_string("/etc/subuid").unwrap_or_default();
    others_in(ids, &subordinate)
}

/// As [`others_with`]. `subordinate` is `/etc/subuid`.
fn others_in(ids: &Range<u32>, subordinate: &str) -> Option<String> {
    let overlaps = |first: u64, end: u64| first < u64::from(ids.end) && u64::from(ids.start) < end;
    if overlaps(DYNAMIC.start.into(), DYNAMIC.end.into()) {
        return Some("services of systemd with DynamicUser=, 61184 to 65519".to_owned());
    }
    subordinate.lines().find_map(|line| {
        let mut words = line.split(':');
        let (name, first) = (words.next()?, words.next()?.trim().parse::<u64>().ok()?);
        let count = words.next()?.trim().parse::<u64>().ok()?;
        overlaps(first, first.saturating_add(count))
            .then(|| format!("containers of `{name}`, by /etc/subuid"))
    })
}

/// Returns a shell command that creates `count` accounts.
pub(crate) fn command(count: u32) -> String {
    format!(
        "for n in $(seq {count}); do useradd --system --user-group --no-create-home \
         --shell /usr/sbin/nologin runner$n; done"
    )
}

/// Looks up the accounts of `runner.users`.
///
/// # Errors
///
/// Returns every reason why runners cannot run as them.
pub(crate) fn look_up(names: &[String]) -> Result<Vec<Account>, Vec<String>> {
    let mut accounts = Vec::new();
    let mut missing = Vec::new();
    for name in names {
        match User::from_name(name) {
            Ok(Some(user)) => accounts.push(Account::known(user)),
            _ => missing.push(format!("`{name}`")),
        }
    }
    let mut mistakes = Vec::new();
    if !missing.is_empty() {
        let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
        let (s, runners) = (if missing.len() == 1 { "" } else { "s" }, command(count));
        mistakes.push(format!(
            "this machine has no account{s} {}; `{runners}` creates runner1 to runner{count}",
            missing.join(", ")
        ));
    }
    mistakes.extend(conflicts(&accounts));
    if mistakes.is_empty() { Ok(accounts) } else { Err(mistakes) }
}

/// Finds accounts that would let one job read another's files.
fn conflicts(accounts: &[Account]) -> Vec<String> {
    let mut mistakes = Vec::new();
    for (index, account) in accounts.iter().enumerate() {
        let label = account.label();
        if account.uid == 0 {
            mistakes.push(format!("{label} is root, and jobs must not run as root: name another account"));
        }
        for other in &accounts[..index] {
            let theirs = other.label();
            if account.uid == other.uid {
                mistakes.push(format!("{label} and {theirs} are the same user: each runner needs its own"));
            } else if account.groups.contains(&other.gid) || other.groups.contains(&account.gid) {
                mistakes.push(format!(
                    "{label} and {theirs} share a primary group: each needs its own without other \
                     members, as `useradd --user-group` creates"
                ));
            }
        }
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str, uid: u32, groups: &[u32]) -> Account {
        Account { name: Some(name.to_owned()), uid, gid: groups[0], groups: groups.to_vec() }
    }

    #[test]
    fn accounts_that_share_a_user_or_a_primary_group_are_refused() {
        let apart = [account("a", 901, &[901, 27]), account("b", 902, &[902, 27])];
        assert_eq!(conflicts(&apart), Vec::<String>::new());
        for (other, word) in [
            (account("b", 901, &[902]), "are the same user"),
            (account("b", 902, &[901]), "share a primary group"),
            // A member of the other's group could read the other's agent directory.
            (account("b", 902, &[902, 901]), "share a primary group"),
            (account("root", 0, &[0]), "is root"),
        ] {
            let told = conflicts(&[account("a", 901, &[901]), other]);
            assert!(told.len() == 1 && told[0].contains(word), "{told:?}");
        }
    }

    #[test]
    fn each_missing_account_is_named_with_the_command_that_makes_accounts() {
        let names = ["no-such-user-1".to_owned(), "no-such-user-2".to_owned()];
        let told = look_up(&names).unwrap_err();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("this machine has no accounts `no-such-user-1`, `no-such-user-2`; `for n in")
        );
    }

    #[test]
    fn runners_get_no_ids_of_systemds_services_and_others_with_their_ids_are_told() {
        let subordinate = "# none\nada:100000:65536\nbob:73999:10\n";
        assert_eq!(ids_from(FIRST_OF_16_BITS), 60_706..61_184);
        assert_eq!(ids_from(61_000), 61_000..61_184);
        for (first, told) in [
            (FIRST_OF_16_BITS, None),
            (FIRST, Some("containers of `bob`, by /etc/subuid")),
            (69_000, None),
            (99_000, Some("containers of `ada`, by /etc/subuid")),
            (61_183, None),
            (61_184, Some("services of systemd with DynamicUser=, 61184 to 65519")),
            (63_000, Some("services of systemd with DynamicUser=, 61184 to 65519")),
            (65_520, None),
        ] {
            assert_eq!(others_in(&ids_from(first), subordinate).as_deref(), told, "{first}");
        }
        assert_eq!(others_in(&ids_from(FIRST), "ada:100000:65536\n"), None);
    }

    #[test]
    fn a_namespace_of_users_has_the_ids_of_its_map() {
        let ids = ids_from(FIRST);
        assert!(maps("         0          0 4294967295\n", &ids));
        assert!(maps("0 100000 1\n1 100001 99999\n", &ids));
        for map in ["0 100000 65536\n", "70001 1 9999\n", "70000 0 3999\n", "", "x"] {
            assert!(!maps(map, &ids), "{map}");
        }
    }

    #[test]
    fn a_user_id_without_an_account_has_a_group_of_its_own_number() {
        let user = Account::of(1_900_000_123);
        assert_eq!((user.uid, user.gid, user.name), (1_900_000_123, 1_900_000_123, None));
    }
}
