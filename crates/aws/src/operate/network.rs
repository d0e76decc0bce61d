//! The network in which tasks start: their subnets, with the routes and the endpoints of these.

use std::collections::BTreeSet;

use ecsrunner_core::id::SubnetId;
use roxmltree::{Document, Node};

use super::{OperateError, Operator, failed};
use crate::connection::Service;
use crate::fault::Fault;

const SUBNETS: &str = "ec2:DescribeSubnets";
const ROUTE_TABLES: &str = "ec2:DescribeRouteTables";
const ENDPOINTS: &str = "ec2:DescribeVpcEndpoints";
/// EC2's only version.
const VERSION: &str = "2016-11-15";
/// A page has a hundred items or more, and a VPC at most a few hundred route tables and endpoints.
const MAX_PAGES: usize = 20;

/// What EC2 says of the network of some subnets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NetworkInfo {
    pub subnets: Vec<Subnet>,
    /// All of the subnets' VPCs.
    pub route_tables: Vec<RouteTable>,
    /// All of the subnets' VPCs.
    pub endpoints: Vec<Endpoint>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subnet {
    pub id: String,
    pub vpc: String,
    /// The account that owns it, and its VPC. Another account can share it.
    pub owner: String,
    /// IPv4 addresses that are not used.
    pub free_addresses: u32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteTable {
    pub id: String,
    pub vpc: String,
    /// Whether it is that of all subnets of its VPC without one of their own.
    pub is_main: bool,
    /// The subnets that have it by an association of their own.
    pub subnets: Vec<String>,
    pub routes: Vec<Route>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// The addresses, such as `0.0.0.0/0`, or the id of a list of them.
    pub to: String,
    /// The id of what it leads to, such as `nat-…`; `local` within the VPC.
    pub via: String,
    /// Whether that exists: EC2 calls the others black holes.
    pub is_active: bool,
}

/// An endpoint of a VPC that can be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Routes lead to it by this id.
    pub id: String,
    pub vpc: String,
    /// Such as `com.amazonaws.eu-west-1.ecr.dkr`.
    pub service: String,
    /// Whether it is a route of `route_tables`, rather than an interface in subnets.
    pub is_gateway: bool,
    pub route_tables: Vec<String>,
    /// Whether the service's usual name leads to the interface.
    pub has_private_dns: bool,
}

impl Operator<'_> {
    /// Describes the network of these subnets.
    ///
    /// # Errors
    ///
    /// Those of AWS. [`OperateError::Missing`] if a subnet does not exist.
    pub async fn network(&self, subnets: &[SubnetId]) -> Result<NetworkInfo, OperateError> {
        let ids = subnets.iter().enumerate();
        let ids = ids.map(|(at, id)| (format!("SubnetId.{}", at + 1), id.to_string()));
        let found = self.items(SUBNETS, ids.collect(), "subnetSet", subnet).await;
        let found = found.map_err(|fault| match fault.code.as_deref() {
            Some("InvalidSubnetID.NotFound") => OperateError::Missing(format!("subnet: {}", fault.words)),
            _ => failed(SUBNETS, "the runners' subnets", fault),
        })?;
        if let Some(missing) = subnets.iter().find(|id| !found.iter().any(|it| it.id == id.as_str())) {
            return Err(OperateError::Missing(format!("subnet `{missing}`")));
        }
        let vpcs: BTreeSet<&str> = found.iter().map(|subnet| subnet.vpc.as_str()).collect();
        let mut filter = vec![("Filter.1.Name".to_owned(), "vpc-id".to_owned())];
        filter.extend(
            vpcs.iter()
                .enumerate()
                .map(|(at, vpc)| (format!("Filter.1.Value.{}", at + 1), (*vpc).to_owned())),
        );
        let of_vpcs = |action, fault| failed(action, "the VPC of the runners", fault);
        let route_tables = self.items(ROUTE_TABLES, filter.clone(), "routeTableSet", route_table).await;
        let mut route_tables = route_tables.map_err(|fault| of_vpcs(ROUTE_TABLES, fault))?;
        let endpoints = self.items(ENDPOINTS, filter, "vpcEndpointSet", endpoint).await;
        let endpoints = endpoints.map_err(|fault| of_vpcs(ENDPOINTS, fault))?;
        let mut endpoints: Vec<Endpoint> = endpoints.into_iter().flatten().collect();
        route_tables.retain(|table| vpcs.contains(table.vpc.as_str()));
        endpoints.retain(|endpoint| vpcs.contains(endpoint.vpc.as_str()));
        Ok(NetworkInfo { route_tables, endpoints, subnets: found })
    }

    /// Calls an action of EC2, page by page, and reads the items of this set.
    async fn items<T>(
        &self,
        action: &'static str,
        parameters: Vec<(String, String)>,
        set: &str,
        read: impl Fn(Node<'_, '_>) -> T,
    ) -> Result<Vec<T>, Fault> {
        let name = action.rsplit(':').next().unwrap_or(action);
        let mut items = Vec::new();
        let mut next = None;
        for _ in 0..MAX_PAGES {
            let mut asked = parameters.clone();
            asked.push(("Action".to_owned(), name.to_owned()));
            asked.push(("Version".to_owned(), VERSION.to_owned()));
            asked.extend(next.take().map(|token| ("NextToken".to_owned(), token)));
            let text = self.connection.query(Service::Ec2, &asked).await?;
            let document = Document::parse(&text)
                .map_err(|error| Fault::of_answer(&format!("the answer is not XML: {error}")))?;
            let root = document.root_element();
            items.extend(children(root, set).map(&read));
            next = text_of(root, "nextToken");
            if next.is_none() {
                return Ok(items);
            }
        }
        Err(Fault::of_answer(&format!("the answer has more than {MAX_PAGES} pages")))
    }
}

/// The items of a node's set.
fn children<'a, 'input>(node: Node<'a, 'input>, set: &str) -> impl Iterator<Item = Node<'a, 'input>> {
    let set = child(node, set);
    set.into_iter().flat_map(|set| set.children().filter(|item| item.has_tag_name("item")))
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.has_tag_name(name))
}

/// The text of a child that is not empty.
fn text_of(node: Node<'_, '_>, name: &str) -> Option<String> {
    let text = child(node, name)?.text()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn subnet(item: Node<'_, '_>) -> Subnet {
    let text = |name| text_of(item, name).unwrap_or_default();
    Subnet {
        id: text("subnetId"),
        vpc: text("vpcId"),
        owner: text("ownerId"),
        free_addresses: text("availableIpAddressCount").parse().unwrap_or_default(),
    }
}

fn route_table(item: Node<'_, '_>) -> RouteTable {
    let text = |name| text_of(item, name).unwrap_or_default();
    let associations = || children(item, "associationSet");
    RouteTable {
        id: text("routeTableId"),
        vpc: text("vpcId"),
        is_main: associations().any(|one| text_of(one, "main").as_deref() == Some("true")),
        subnets: associations().filter_map(|one| text_of(one, "subnetId")).collect(),
        routes: children(item, "routeSet").map(route).collect(),
    }
}

fn route(item: Node<'_, '_>) -> Route {
    /// Where a route may lead. A NAT instance has both an instance and its interface.
    const VIA: [&str; 11] = [
        "natGatewayId",
        "gatewayId",
        "transitGatewayId",
        "vpcPeeringConnectionId",
        "instanceId",
        "networkInterfaceId",
        "localGatewayId",
        "carrierGatewayId",
        "egressOnlyInternetGatewayId",
        "coreNetworkArn",
        "odbNetworkArn",
    ];
    const TO: [&str; 3] = ["destinationCidrBlock", "destinationIpv6CidrBlock", "destinationPrefixListId"];
    let first = |names: &[&str]| names.iter().find_map(|name| text_of(item, name)).unwrap_or_default();
    Route {
        to: first(&TO),
        via: first(&VIA),
        is_active: text_of(item, "state").as_deref() != Some("blackhole"),
    }
}

/// `None` if the endpoint cannot be used, or not yet.
fn endpoint(item: Node<'_, '_>) -> Option<Endpoint> {
    let text = |name| text_of(item, name).unwrap_or_default();
    if !text("state").eq_ignore_ascii_case("available") {
        return None;
    }
    let route_tables = children(item, "routeTableIdSet").filter_map(|id| id.text()).map(str::to_owned);
    Some(Endpoint {
        id: text("vpcEndpointId"),
        vpc: text("vpcId"),
        service: text("serviceName"),
        is_gateway: text("vpcEndpointType").eq_ignore_ascii_case("gateway"),
        route_tables: route_tables.collect(),
        has_private_dns: text("privateDnsEnabled") == "true",
    })
}
