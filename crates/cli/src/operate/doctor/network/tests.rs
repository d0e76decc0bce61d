use ecsrunner_aws::operate::Endpoint;

use super::*;

const NEEDS: Needs = needs(true);
/// With a server of one's own within reach.
const INSIDE: Needs = needs(false);

const fn needs(is_github_outside: bool) -> Needs {
    Needs {
        has_public_address: false,
        has_exec: false,
        is_github_outside,
        account: None,
        pulls: Pulls { from_ecr: true, others: BTreeMap::new() },
    }
}

fn subnet(id: &str) -> Subnet {
    Subnet {
        id: id.to_owned(),
        vpc: "vpc-1".to_owned(),
        owner: "111111111111".to_owned(),
        free_addresses: 200,
    }
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
    NetworkInfo { subnets: vec![subnet("subnet-a")], route_tables: vec![main, own], endpoints: Vec::new() }
}

fn endpoint(service: &str) -> Endpoint {
    let is_gateway = [S3, DYNAMODB].contains(&service);
    Endpoint {
        id: format!("vpce-{service}"),
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

fn told(network: &NetworkInfo, needs: &Needs) -> String {
    let line = |check: Check| {
        let remedy = check.remedy.map(|remedy| format!(" → {remedy}")).unwrap_or_default();
        format!("{:?} {}{remedy}", check.state, check.found)
    };
    check(network, needs).into_iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_nat_gateway_without_an_endpoint_for_s3_is_a_warning() {
    let nat = network(Some("nat-1"));
    insta::assert_snapshot!(told(&nat, &NEEDS), @"Warning subnet-a: nat-1 carries and charges each pull of an image from ECR: rtb-own has no endpoint for s3 and dynamodb → gateway endpoints are free: add s3 and dynamodb to rtb-own");
    insta::assert_snapshot!(told(&with(nat, &[S3]), &NEEDS), @"Ok subnet-a: to the internet through nat-1; image layers come by an endpoint");
}

#[test]
fn an_endpoint_of_another_route_table_or_service_does_not_count() {
    let mut other = with(network(Some("nat-1")), &[S3]);
    other.endpoints[0].route_tables = vec!["rtb-main".to_owned()];
    assert!(told(&other, &NEEDS).starts_with("Warning"));
    let mut express = with(network(Some("nat-1")), &[S3]);
    express.endpoints[0].service = "com.amazonaws.eu-west-1.outposts3".to_owned();
    assert!(told(&express, &NEEDS).starts_with("Warning"));
}

#[test]
fn an_internet_gateway_serves_tasks_with_public_addresses() {
    let public = network(Some("igw-1"));
    let needs = Needs { has_public_address: true, ..NEEDS };
    insta::assert_snapshot!(told(&public, &needs), @"Ok subnet-a: to the internet through igw-1");
    insta::assert_snapshot!(told(&public, &NEEDS), @"Failed subnet-a: the way to the internet is igw-1, and tasks get no public address: none reaches GitHub → set `network.assign_public_ip = true`, or lead 0.0.0.0/0 in rtb-own to a NAT gateway");
}

#[test]
fn a_transit_gateway_may_lead_to_the_internet() {
    insta::assert_snapshot!(told(&network(Some("tgw-1")), &NEEDS), @"Ok subnet-a: to the internet through tgw-1");
}

#[test]
fn a_subnet_without_a_way_out_fails_whatever_endpoints_it_has() {
    let closed = with(network(None), &["ecr.api", "ecr.dkr", S3, "logs", DYNAMODB]);
    insta::assert_snapshot!(told(&closed, &NEEDS), @"Failed subnet-a: rtb-own has no route to the internet: no task reaches GitHub → add a route of 0.0.0.0/0 to a NAT gateway");
    let mut gone = network(Some("nat-1"));
    gone.route_tables[1].routes[1].is_active = false;
    insta::assert_snapshot!(told(&gone, &NEEDS), @"Failed subnet-a: 0.0.0.0/0 leads to nat-1, which does not exist any more: no task reaches GitHub → lead it in rtb-own to a NAT gateway that exists");
}

#[test]
fn with_a_github_server_within_reach_endpoints_are_enough() {
    let needs = Needs { has_exec: true, ..INSIDE };
    let closed = with(network(None), &["ecr.api", S3, "logs"]);
    insta::assert_snapshot!(told(&closed, &needs), @"Failed subnet-a: no way to the internet, and no endpoint for ecr.dkr, dynamodb, ssmmessages: no task starts or takes a job → add gateway endpoints for s3 and dynamodb to rtb-own, and interface endpoints with private DNS for the others");
    let mut closed = with(network(None), &["ecr.api", "ecr.dkr", S3, "logs", DYNAMODB, EXEC]);
    insta::assert_snapshot!(told(&closed, &needs), @"Ok subnet-a: no way to the internet; AWS is reached by endpoints");
    closed.endpoints[0].has_private_dns = false;
    assert!(told(&closed, &needs).contains("no endpoint for ecr.api:"), "its name leads nowhere");
}

#[test]
fn subnets_without_a_table_of_their_own_have_the_main_one_and_equal_findings_are_one() {
    let mut all = network(Some("nat-1"));
    all.subnets.extend([subnet("subnet-b"), subnet("subnet-c")]);
    all.subnets[2].free_addresses = 0;
    insta::assert_snapshot!(told(&with(all, &[S3]), &NEEDS), @r"
    Ok subnet-a: to the internet through nat-1; image layers come by an endpoint
    Warning subnet-c: no address is free, so no task starts there → use larger subnets, or more of them
    Failed subnet-b, subnet-c: rtb-main has no route to the internet: no task reaches GitHub → add a route of 0.0.0.0/0 to a NAT gateway
    ");
}

/// A network whose one subnet has these routes beside the local one.
fn with_routes(routes: &[(&str, &str)]) -> NetworkInfo {
    let mut network = network(None);
    let route =
        |(to, via): &(&str, &str)| Route { to: (*to).to_owned(), via: (*via).to_owned(), is_active: true };
    network.route_tables[1].routes.extend(routes.iter().map(route));
    network
}

#[test]
fn a_registry_other_than_ecr_needs_a_way_out() {
    let others = [("docker.io".to_owned(), false), ("ghcr.io".to_owned(), true)].into();
    let needs = Needs { pulls: Pulls { from_ecr: true, others }, ..INSIDE };
    let closed = with(network(None), &ALWAYS);
    insta::assert_snapshot!(told(&closed, &needs), @r"
    Ok subnet-a: no way to the internet; AWS is reached by endpoints
    Failed subnet-a: no way to the internet, so no image is pulled from docker.io → use a copy in ECR of each image from docker.io
    Failed subnet-a: no way to the internet, so no image is pulled from ghcr.io → set `official_image` to a mirror in ECR
    ");
    assert!(!told(&network(Some("tgw-1")), &needs).contains("Failed"));
}

#[test]
fn an_endpoint_for_s3_is_advised_only_for_images_of_ecr() {
    let others = [("ghcr.io".to_owned(), true)].into();
    let needs = Needs { pulls: Pulls { from_ecr: false, others }, ..NEEDS };
    insta::assert_snapshot!(told(&network(Some("nat-1")), &needs), @"Ok subnet-a: to the internet through nat-1");
}

#[test]
fn two_halves_and_lists_of_addresses_are_a_way_out() {
    let halves = |first, second| with_routes(&[("0.0.0.0/1", first), ("128.0.0.0/1", second)]);
    insta::assert_snapshot!(told(&halves("eni-1", "eni-1"), &NEEDS), @"Ok subnet-a: to the internet through eni-1");
    assert!(told(&with_routes(&[("0.0.0.0/1", "eni-1")]), &NEEDS).contains("no route to the internet"));
    for second_is_gone in [false, true] {
        let mut gone = halves("nat-1", "nat-2");
        gone.route_tables[1].routes[1 + usize::from(second_is_gone)].is_active = false;
        assert!(told(&gone, &NEEDS).contains("does not exist any more"), "{}", told(&gone, &NEEDS));
    }
    let listed = with_routes(&[("pl-1", "tgw-1")]);
    insta::assert_snapshot!(told(&listed, &NEEDS), @"Ok subnet-a: to the internet through tgw-1");
    // Lists of AWS's own services lead to gateway endpoints, and those of a firewall to another kind of endpoint.
    let mut own = with(with_routes(&[("pl-1", "vpce-s3")]), &[S3]);
    assert!(told(&own, &NEEDS).contains("no route to the internet"));
    own.endpoints[0].is_gateway = false;
    assert!(told(&own, &NEEDS).starts_with("Ok"));
}

#[test]
fn endpoints_of_a_vpc_that_another_account_shares_are_unknown() {
    let of = |account: &str| Needs { account: Some(account.to_owned()), ..INSIDE };
    insta::assert_snapshot!(told(&network(None), &of("222222222222")), @"Unknown subnet-a: no way to the internet, and the endpoints of vpc-1 belong to account 111111111111 and cannot be seen → ask that account whether vpc-1 reaches ecr.api, ecr.dkr, s3, logs, dynamodb by endpoints");
    assert!(told(&network(None), &of("111111111111")).starts_with("Failed"));
    insta::assert_snapshot!(told(&network(Some("nat-1")), &of("222222222222")), @"Ok subnet-a: to the internet through nat-1; the endpoints of vpc-1 belong to account 111111111111 and cannot be seen");
}

#[test]
fn endpoints_may_be_in_another_network() {
    for via in ["tgw-1", "pcx-1", "arn:aws:networkmanager::111111111111:core-network/core-network-1"] {
        let network = with_routes(&[("10.0.0.0/8", via)]);
        assert!(told(&network, &INSIDE).starts_with("Warning"), "{}", told(&network, &INSIDE));
    }
    insta::assert_snapshot!(told(&with_routes(&[("10.0.0.0/8", "tgw-1")]), &INSIDE), @"Warning subnet-a: no way to the internet, and no endpoint for ecr.api, ecr.dkr, s3, logs, dynamodb in vpc-1: they may be behind tgw-1 → check that vpc-1 resolves their names to endpoints in the network behind tgw-1");
}
