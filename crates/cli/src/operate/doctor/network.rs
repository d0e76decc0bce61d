//! The network in which tasks start: whether they reach GitHub, the image's registry and AWS from each subnet, and whether
//! a NAT carries what an endpoint would carry for nothing. Security groups and network ACLs are not looked at.

use std::collections::BTreeMap;

use ecsrunner_aws::operate::{NetworkInfo, Route, RouteTable, Subnet};

use super::{Check, State};

#[cfg(test)]
mod tests;

const NAME: &str = "network";
const ANYWHERE: &str = "0.0.0.0/0";
/// The same as two routes, which stand above a route of [`ANYWHERE`].
const HALVES: [&str; 2] = ["0.0.0.0/1", "128.0.0.0/1"];
const S3: &str = "s3";
const DYNAMODB: &str = "dynamodb";
/// What a task needs of AWS, as endpoints name it: the image's registry and layers, its log, and its boot item.
const ALWAYS: [&str; 5] = ["ecr.api", "ecr.dkr", S3, "logs", DYNAMODB];
/// ECS Exec.
const EXEC: &str = "ssmmessages";

/// What tasks need of their network.
#[derive(Clone, Debug)]
pub(super) struct Needs {
    /// Whether each task gets a public address.
    pub(super) has_public_address: bool,
    /// Whether a class allows ECS Exec.
    pub(super) has_exec: bool,
    /// Whether GitHub is on the internet, rather than a server of one's own.
    pub(super) is_github_outside: bool,
    /// The account of the deployment, if it is known.
    pub(super) account: Option<String>,
    pub(super) pulls: Pulls,
}

impl Needs {
    /// Whether another account owns the subnet. That account's endpoints cannot be seen.
    fn is_shared(&self, subnet: &Subnet) -> bool {
        self.account.as_ref().is_some_and(|own| !subnet.owner.is_empty() && subnet.owner != *own)
    }
}

/// Where the images of tasks come from.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulls {
    /// Whether any comes from ECR.
    pub(super) from_ecr: bool,
    /// The registries of the others, and whether GitHub's own image is among what comes from there.
    pub(super) others: BTreeMap<String, bool>,
}

/// How packets to the internet leave a subnet.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Way {
    /// Through a NAT gateway, which charges for each gigabyte.
    Nat(String),
    /// Through an internet gateway, from public addresses.
    Public(String),
    /// Through an internet gateway, which serves public addresses only.
    WithoutAddress(String),
    /// Through something else, which may lead anywhere, such as a transit gateway.
    Other(String),
    /// Through something that does not exist any more.
    Gone(String),
    None,
}

/// Checks each subnet. Those with the same finding share a check.
pub(super) fn check(network: &NetworkInfo, needs: &Needs) -> Vec<Check> {
    let mut found: BTreeMap<(State, String, Option<String>), Vec<&str>> = BTreeMap::new();
    for subnet in &network.subnets {
        for finding in findings(network, subnet, needs) {
            found.entry(finding).or_default().push(&subnet.id);
        }
    }
    let check = |((state, found, remedy), subnets): ((State, String, Option<String>), Vec<&str>)| Check {
        name: NAME,
        state,
        found: format!("{}: {found}", subnets.join(", ")),
        remedy,
    };
    found.into_iter().map(check).collect()
}

type Finding = (State, String, Option<String>);

fn findings(network: &NetworkInfo, subnet: &Subnet, needs: &Needs) -> Vec<Finding> {
    let mut findings = Vec::new();
    match table_of(network, subnet) {
        None => findings.push((
            State::Unknown,
            format!("its route table in {} cannot be seen", subnet.vpc),
            Some("check that it has a route to the internet".to_owned()),
        )),
        Some(table) => match way(network, table, needs.has_public_address) {
            Way::Nat(nat) => findings.push(through_nat(network, subnet, table, &nat, needs)),
            Way::Public(via) | Way::Other(via) => {
                findings.push((State::Ok, format!("to the internet through {via}"), None));
            }
            closed if needs.is_github_outside => findings.push(without_github(&closed, table)),
            _ => {
                findings.extend(needs.pulls.others.iter().map(unreachable_registry));
                findings.push(by_endpoints(network, subnet, table, needs));
            }
        },
    }
    if subnet.free_addresses == 0 {
        findings.push((
            State::Warning,
            "no address is free, so no task starts there".to_owned(),
            Some("use larger subnets, or more of them".to_owned()),
        ));
    }
    findings
}

/// A subnet without a way out, although GitHub is on the internet.
fn without_github(closed: &Way, table: &RouteTable) -> Finding {
    let table = &table.id;
    let (found, remedy) = match closed {
        Way::WithoutAddress(via) => (
            format!("the way to the internet is {via}, and tasks get no public address: none reaches GitHub"),
            format!("set `network.assign_public_ip = true`, or lead {ANYWHERE} in {table} to a NAT gateway"),
        ),
        Way::Gone(via) => (
            format!("{ANYWHERE} leads to {via}, which does not exist any more: no task reaches GitHub"),
            format!("lead it in {table} to a NAT gateway that exists"),
        ),
        _ => (
            format!("{table} has no route to the internet: no task reaches GitHub"),
            format!("add a route of {ANYWHERE} to a NAT gateway"),
        ),
    };
    (State::Failed, found, Some(remedy))
}

/// Only ECR has endpoints in a VPC.
fn unreachable_registry((registry, is_official): (&String, &bool)) -> Finding {
    let remedy = if *is_official {
        "set `official_image` to a mirror in ECR".to_owned()
    } else {
        format!("use a copy in ECR of each image from {registry}")
    };
    (State::Failed, format!("no way to the internet, so no image is pulled from {registry}"), Some(remedy))
}

/// A NAT charges for what it carries. Gateway endpoints cost nothing.
fn through_nat(
    network: &NetworkInfo,
    subnet: &Subnet,
    table: &RouteTable,
    nat: &str,
    needs: &Needs,
) -> Finding {
    let lacks = |service: &&str| !has_endpoint(network, subnet, table, service);
    let missing: Vec<&str> = [S3, DYNAMODB].into_iter().filter(lacks).collect();
    if !needs.pulls.from_ecr {
        return (State::Ok, format!("to the internet through {nat}"), None);
    }
    if !missing.contains(&S3) {
        return (State::Ok, format!("to the internet through {nat}; image layers come by an endpoint"), None);
    }
    if needs.is_shared(subnet) {
        let found = format!(
            "to the internet through {nat}; the endpoints of {} belong to account {} and cannot be seen",
            subnet.vpc, subnet.owner
        );
        return (State::Ok, found, None);
    }
    let (table, missing) = (&table.id, missing.join(" and "));
    (
        State::Warning,
        format!(
            "{nat} carries and charges each pull of an image from ECR: {table} has no endpoint for {missing}"
        ),
        Some(format!("gateway endpoints are free: add {missing} to {table}")),
    )
}

/// Whether tasks without a way out get what they need of AWS, if GitHub is within reach of the VPC.
fn by_endpoints(network: &NetworkInfo, subnet: &Subnet, table: &RouteTable, needs: &Needs) -> Finding {
    let needed = ALWAYS.into_iter().chain(needs.has_exec.then_some(EXEC));
    let missing: Vec<&str> =
        needed.filter(|service| !has_endpoint(network, subnet, table, service)).collect();
    if missing.is_empty() {
        return (State::Ok, "no way to the internet; AWS is reached by endpoints".to_owned(), None);
    }
    let (table_id, vpc, missing) = (&table.id, &subnet.vpc, missing.join(", "));
    if needs.is_shared(subnet) {
        let owner = &subnet.owner;
        return (
            State::Unknown,
            format!(
                "no way to the internet, and the endpoints of {vpc} belong to account {owner} and cannot be seen"
            ),
            Some(format!("ask that account whether {vpc} reaches {missing} by endpoints")),
        );
    }
    if let Some(via) = to_other_networks(table) {
        return (
            State::Warning,
            format!(
                "no way to the internet, and no endpoint for {missing} in {vpc}: they may be behind {via}"
            ),
            Some(format!("check that {vpc} resolves their names to endpoints in the network behind {via}")),
        );
    }
    (
        State::Failed,
        format!("no way to the internet, and no endpoint for {missing}: no task starts or takes a job"),
        Some(format!(
            "add gateway endpoints for s3 and dynamodb to {table_id}, and interface endpoints with private DNS for the others"
        )),
    )
}

/// Returns what leads to other networks, which may have endpoints for this one.
fn to_other_networks(table: &RouteTable) -> Option<&str> {
    let leads =
        |via: &str| via.starts_with("tgw-") || via.starts_with("pcx-") || via.contains(":core-network/");
    table.routes.iter().filter(|route| route.is_active).map(|route| route.via.as_str()).find(|via| leads(via))
}

/// Returns whether a service of AWS is reached by an endpoint.
fn has_endpoint(network: &NetworkInfo, subnet: &Subnet, table: &RouteTable, service: &str) -> bool {
    network.endpoints.iter().filter(|endpoint| endpoint.vpc == subnet.vpc).any(|endpoint| {
        // `com.amazonaws.REGION.SERVICE`, elsewhere with another beginning.
        let name = endpoint.service.strip_suffix(service).is_some_and(|rest| rest.ends_with('.'));
        let serves = if endpoint.is_gateway {
            endpoint.route_tables.contains(&table.id)
        } else {
            endpoint.has_private_dns
        };
        name && serves
    })
}

/// Returns the subnet's own route table, or else the main one of its VPC.
fn table_of<'a>(network: &'a NetworkInfo, subnet: &Subnet) -> Option<&'a RouteTable> {
    let tables = || network.route_tables.iter().filter(|table| table.vpc == subnet.vpc);
    let own = tables().find(|table| table.subnets.contains(&subnet.id));
    own.or_else(|| tables().find(|table| table.is_main))
}

fn way(network: &NetworkInfo, table: &RouteTable, has_public_address: bool) -> Way {
    let Some(Route { via, is_active, .. }) = route_out(network, table) else {
        return Way::None;
    };
    let via = via.clone();
    if !is_active {
        Way::Gone(via)
    } else if via.starts_with("nat-") {
        Way::Nat(via)
    } else if !via.starts_with("igw-") {
        Way::Other(via)
    } else if has_public_address {
        Way::Public(via)
    } else {
        Way::WithoutAddress(via)
    }
}

/// Returns the route to addresses on the internet.
fn route_out<'a>(network: &NetworkInfo, table: &'a RouteTable) -> Option<&'a Route> {
    let route = |to: &str| table.routes.iter().find(|route| route.to == to);
    let halves = || {
        let [first, second] = HALVES.map(route);
        let (first, second) = (first?, second?);
        Some(if first.is_active { second } else { first })
    };
    // A list of addresses may have those of GitHub. Lists of AWS's services lead to their gateway endpoints.
    let listed = || {
        let is_gateway = |id: &str| !network.endpoints.iter().any(|it| it.id == id && !it.is_gateway);
        let leads_out = |via: &str| {
            via.starts_with("nat-") || via.starts_with("tgw-") || via.starts_with("vpce-") && !is_gateway(via)
        };
        table
            .routes
            .iter()
            .find(|route| route.to.starts_with("pl-") && route.is_active && leads_out(&route.via))
    };
    route(ANYWHERE).or_else(halves).or_else(listed)
}
