//! The network in which tasks start: whether they reach GitHub, the image's registry and AWS from each subnet, and whether
//! a NAT carries what an endpoint would carry for nothing. Security groups and network ACLs are not looked at.

use std::collections::BTreeMap;

use ecsrunner_aws::operate::{NetworkInfo, Route, RouteTable, Subnet};

use super::{Check, State};

const NAME: &str = "network";
const ANYWHERE: &str = "0.0.0.0/0";
const S3: &str = "s3";
const DYNAMODB: &str = "dynamodb";
/// What a task needs of AWS, as endpoints name it: the image's registry and layers, its log, and its boot item.
const ALWAYS: [&str; 5] = ["ecr.api", "ecr.dkr", S3, "logs", DYNAMODB];
/// ECS Exec.
const EXEC: &str = "ssmmessages";

/// What tasks need of their network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs {
    /// Whether each task gets a public address.
    pub(super) has_public_address: bool,
    /// Whether a class allows ECS Exec.
    pub(super) has_exec: bool,
    /// Whether GitHub is on the internet, rather than a server of one's own.
    pub(super) is_github_outside: bool,
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
pub(super) fn check(network: &NetworkInfo, needs: Needs) -> Vec<Check> {
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

fn findings(network: &NetworkInfo, subnet: &Subnet, needs: Needs) -> Vec<Finding> {
    let mut findings = vec![reach(network, subnet, needs)];
    if subnet.free_addresses == 0 {
        findings.push((
            State::Warning,
            "no address is free, so no task starts there".to_owned(),
            Some("use larger subnets, or more of them".to_owned()),
        ));
    }
    findings
}

fn reach(network: &NetworkInfo, subnet: &Subnet, needs: Needs) -> Finding {
    let Some(table) = table_of(network, subnet) else {
        let found = format!("its route table in {} cannot be seen", subnet.vpc);
        return (State::Unknown, found, Some("check that it has a route to the internet".to_owned()));
    };
    match way(table, needs.has_public_address) {
        Way::Nat(nat) => through_nat(network, subnet, table, &nat),
        Way::Public(via) | Way::Other(via) => (State::Ok, format!("to the internet through {via}"), None),
        Way::WithoutAddress(via) if needs.is_github_outside => (
            State::Failed,
            format!("the way to the internet is {via}, and tasks get no public address: none reaches GitHub"),
            Some(format!(
                "set `network.assign_public_ip = true`, or lead {ANYWHERE} in {} to a NAT gateway",
                table.id
            )),
        ),
        Way::Gone(via) if needs.is_github_outside => (
            State::Failed,
            format!("{ANYWHERE} leads to {via}, which does not exist any more: no task reaches GitHub"),
            Some(format!("lead it in {} to a NAT gateway that exists", table.id)),
        ),
        Way::None if needs.is_github_outside => (
            State::Failed,
            format!("{} has no route to the internet: no task reaches GitHub", table.id),
            Some(format!("add a route of {ANYWHERE} to a NAT gateway")),
        ),
        Way::WithoutAddress(_) | Way::Gone(_) | Way::None => {
            by_endpoints(network, subnet, table, needs.has_exec)
        }
    }
}

/// A NAT charges for what it carries. Gateway endpoints cost nothing.
fn through_nat(network: &NetworkInfo, subnet: &Subnet, table: &RouteTable, nat: &str) -> Finding {
    let lacks = |service: &&str| !has_endpoint(network, subnet, table, service);
    let missing: Vec<&str> = [S3, DYNAMODB].into_iter().filter(lacks).collect();
    if !missing.contains(&S3) {
        return (State::Ok, format!("to the internet through {nat}; image layers come by an endpoint"), None);
    }
    let (table, missing) = (&table.id, missing.join(" and "));
    (
        State::Warning,
        format!("{nat} carries and charges each pull of an image: {table} has no endpoint for {missing}"),
        Some(format!("gateway endpoints are free: add {missing} to {table}")),
    )
}

/// Whether tasks without a way out get what they need of AWS, if GitHub is within reach of the VPC.
fn by_endpoints(network: &NetworkInfo, subnet: &Subnet, table: &RouteTable, has_exec: bool) -> Finding {
    let needed = ALWAYS.into_iter().chain(has_exec.then_some(EXEC));
    let missing: Vec<&str> =
        needed.filter(|service| !has_endpoint(network, subnet, table, service)).collect();
    if missing.is_empty() {
        let found = "no way to the internet; AWS is reached by endpoints, and ghcr.io is not reached";
        return (State::Ok, found.to_owned(), None);
    }
    let missing = missing.join(", ");
    (
        State::Failed,
        format!("no way to the internet, and no endpoint for {missing}: no task starts or takes a job"),
        Some(format!(
            "add gateway endpoints for s3 and dynamodb to {}, and interface endpoints with private DNS for the others",
            table.id
        )),
    )
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

fn way(table: &RouteTable, has_public_address: bool) -> Way {
    let Some(Route { via, is_active, .. }) = table.routes.iter().find(|route| route.to == ANYWHERE) else {
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

#[cfg(test)]
mod tests {
    use ecsrunner_aws::operate::Endpoint;

    use super::*;

    const NEEDS: Needs = Needs { has_public_address: false, has_exec: false, is_github_outside: true };

    fn subnet(id: &str) -> Subnet {
        Subnet { id: id.to_owned(), vpc: "vpc-1".to_owned(), free_addresses: 200 }
    }

    /// A network whose one subnet leads everything else to `via`.
    fn network(via: Option<&str>) -> NetworkInfo {
        let local = Route { to: "10.0.0.0/16".to_owned(), via: "local".to_owned(), is_active: true };
        let out = via.map(|via| Route { to: ANYWHERE.to_owned(), via: via.to_owned(), is_active: true });
        let own = RouteTable {
            id: "rtb-own".to_owned(),
            vpc: "vpc-1".to_owned(),
            is_main: false,
            subnets: vec!["subnet-a".to_owned()],
            routes: std::iter::once(local.clone()).chain(out).collect(),
        };
        let id = "rtb-main".to_owned();
        let main = RouteTable { id, is_main: true, subnets: Vec::new(), routes: vec![local], ..own.clone() };
        NetworkInfo {
            subnets: vec![subnet("subnet-a")],
            route_tables: vec![main, own],
            endpoints: Vec::new(),
        }
    }

    fn endpoint(service: &str) -> Endpoint {
        let is_gateway = [S3, DYNAMODB].contains(&service);
        Endpoint {
            vpc: "vpc-1".to_owned(),
            service: format!("com.amazonaws.eu-west-1.{service}"),
            is_gateway,
            route_tables: if is_gateway { vec!["rtb-own".to_owned()] } else { Vec::new() },
            has_private_dns: !is_gateway,
        }
    }

    fn with(network: NetworkInfo, services: &[&str]) -> NetworkInfo {
        NetworkInfo { endpoints: services.iter().map(|service| endpoint(service)).collect(), ..network }
    }

    fn told(network: &NetworkInfo, needs: Needs) -> String {
        let line = |check: Check| {
            let remedy = check.remedy.map(|remedy| format!(" → {remedy}")).unwrap_or_default();
            format!("{:?} {}{remedy}", check.state, check.found)
        };
        check(network, needs).into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_nat_gateway_without_an_endpoint_for_s3_is_a_warning() {
        let nat = network(Some("nat-1"));
        insta::assert_snapshot!(told(&nat, NEEDS), @"Warning subnet-a: nat-1 carries and charges each pull of an image: rtb-own has no endpoint for s3 and dynamodb → gateway endpoints are free: add s3 and dynamodb to rtb-own");
        insta::assert_snapshot!(told(&with(nat, &[S3]), NEEDS), @"Ok subnet-a: to the internet through nat-1; image layers come by an endpoint");
    }

    #[test]
    fn an_endpoint_of_another_route_table_or_service_does_not_count() {
        let mut other = with(network(Some("nat-1")), &[S3]);
        other.endpoints[0].route_tables = vec!["rtb-main".to_owned()];
        assert!(told(&other, NEEDS).starts_with("Warning"));
        let mut express = with(network(Some("nat-1")), &[S3]);
        express.endpoints[0].service = "com.amazonaws.eu-west-1.outposts3".to_owned();
        assert!(told(&express, NEEDS).starts_with("Warning"));
    }

    #[test]
    fn an_internet_gateway_serves_tasks_with_public_addresses() {
        let public = network(Some("igw-1"));
        let needs = Needs { has_public_address: true, ..NEEDS };
        insta::assert_snapshot!(told(&public, needs), @"Ok subnet-a: to the internet through igw-1");
        insta::assert_snapshot!(told(&public, NEEDS), @"Failed subnet-a: the way to the internet is igw-1, and tasks get no public address: none reaches GitHub → set `network.assign_public_ip = true`, or lead 0.0.0.0/0 in rtb-own to a NAT gateway");
    }

    #[test]
    fn a_transit_gateway_may_lead_to_the_internet() {
        insta::assert_snapshot!(told(&network(Some("tgw-1")), NEEDS), @"Ok subnet-a: to the internet through tgw-1");
    }

    #[test]
    fn a_subnet_without_a_way_out_fails_whatever_endpoints_it_has() {
        let closed = with(network(None), &["ecr.api", "ecr.dkr", S3, "logs", DYNAMODB]);
        insta::assert_snapshot!(told(&closed, NEEDS), @"Failed subnet-a: rtb-own has no route to the internet: no task reaches GitHub → add a route of 0.0.0.0/0 to a NAT gateway");
        let mut gone = network(Some("nat-1"));
        gone.route_tables[1].routes[1].is_active = false;
        insta::assert_snapshot!(told(&gone, NEEDS), @"Failed subnet-a: 0.0.0.0/0 leads to nat-1, which does not exist any more: no task reaches GitHub → lead it in rtb-own to a NAT gateway that exists");
    }

    #[test]
    fn with_a_github_server_within_reach_endpoints_are_enough() {
        let needs = Needs { is_github_outside: false, has_exec: true, ..NEEDS };
        let closed = with(network(None), &["ecr.api", S3, "logs"]);
        insta::assert_snapshot!(told(&closed, needs), @"Failed subnet-a: no way to the internet, and no endpoint for ecr.dkr, dynamodb, ssmmessages: no task starts or takes a job → add gateway endpoints for s3 and dynamodb to rtb-own, and interface endpoints with private DNS for the others");
        let mut closed = with(network(None), &["ecr.api", "ecr.dkr", S3, "logs", DYNAMODB, EXEC]);
        insta::assert_snapshot!(told(&closed, needs), @"Ok subnet-a: no way to the internet; AWS is reached by endpoints, and ghcr.io is not reached");
        closed.endpoints[0].has_private_dns = false;
        assert!(told(&closed, needs).contains("no endpoint for ecr.api:"), "its name leads nowhere");
    }

    #[test]
    fn subnets_without_a_table_of_their_own_have_the_main_one_and_equal_findings_are_one() {
        let mut all = network(Some("nat-1"));
        all.subnets.extend([subnet("subnet-b"), subnet("subnet-c")]);
        all.subnets[2].free_addresses = 0;
        insta::assert_snapshot!(told(&with(all, &[S3]), NEEDS), @r"
        Ok subnet-a: to the internet through nat-1; image layers come by an endpoint
        Warning subnet-c: no address is free, so no task starts there → use larger subnets, or more of them
        Failed subnet-b, subnet-c: rtb-main has no route to the internet: no task reaches GitHub → add a route of 0.0.0.0/0 to a NAT gateway
        ");
    }
}
