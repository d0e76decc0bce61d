//! Reading networks from EC2, whose answers are XML, in the form of the examples of EC2's API reference.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use ecsrunner_aws::connection::{Connection, Environment};
use ecsrunner_aws::denies_caller;
use ecsrunner_aws::operate::{Endpoint, NetworkInfo, OperateError, Operator, Route, RouteTable, Subnet};
use ecsrunner_core::id::SubnetId;
use ecsrunner_engine::chain;

use crate::aws::connection;

#[derive(Clone, Default)]
struct Ec2 {
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Ec2 {
    /// A stand-in that gives these answers, and its URL.
    async fn answering(answers: &[(u16, &str)]) -> (Self, String) {
        let answers = answers.iter().map(|(status, text)| (*status, (*text).to_owned())).collect();
        let ec2 = Self { answers: Arc::new(Mutex::new(answers)), ..Self::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(ec2.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (ec2, url)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn answer(State(ec2): State<Ec2>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    let signature = headers["authorization"].to_str().unwrap();
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIA/"), "{signature}");
    assert!(signature.contains("/eu-west-1/ec2/aws4_request"), "{signature}");
    assert!(headers["content-type"].to_str().unwrap().starts_with("application/x-www-form-urlencoded"));
    ec2.requests.lock().unwrap().push(body);
    let (status, text) = ec2.answers.lock().unwrap().pop_front().expect("no more answers");
    (StatusCode::from_u16(status).unwrap(), text)
}

const SUBNETS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeSubnetsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <requestId>7a62c49f-347e-4fc4-9331-6e8eEXAMPLE</requestId>
  <subnetSet>
    <item><subnetId>subnet-0aaaaaaaaaaaaaaaa</subnetId><state>available</state><vpcId>vpc-1</vpcId>
      <ownerId>123456789012</ownerId><cidrBlock>10.0.0.0/24</cidrBlock><availableIpAddressCount>251</availableIpAddressCount>
      <mapPublicIpOnLaunch>false</mapPublicIpOnLaunch></item>
  </subnetSet>
</DescribeSubnetsResponse>"#;

const TABLES: [&str; 2] = [
    r#"<DescribeRouteTablesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><routeTableSet>
      <item><routeTableId>rtb-main</routeTableId><vpcId>vpc-1</vpcId>
        <routeSet><item><destinationCidrBlock>10.0.0.0/16</destinationCidrBlock><gatewayId>local</gatewayId><state>active</state><origin>CreateRouteTable</origin></item></routeSet>
        <associationSet><item><routeTableAssociationId>rtbassoc-1</routeTableAssociationId><routeTableId>rtb-main</routeTableId><main>true</main></item></associationSet>
        <propagatingVgwSet/></item></routeTableSet><nextToken>more+/=</nextToken></DescribeRouteTablesResponse>"#,
    r#"<DescribeRouteTablesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><routeTableSet>
      <item><routeTableId>rtb-own</routeTableId><vpcId>vpc-1</vpcId>
        <routeSet>
          <item><destinationCidrBlock>0.0.0.0/0</destinationCidrBlock><natGatewayId>nat-1</natGatewayId><state>blackhole</state></item>
          <item><destinationPrefixListId>pl-6da54004</destinationPrefixListId><gatewayId>vpce-1</gatewayId><state>active</state></item>
        </routeSet>
        <associationSet><item><routeTableAssociationId>rtbassoc-2</routeTableAssociationId><routeTableId>rtb-own</routeTableId><subnetId>subnet-0aaaaaaaaaaaaaaaa</subnetId><main>false</main></item></associationSet></item>
      </routeTableSet><nextToken/></DescribeRouteTablesResponse>"#,
];

const ENDPOINTS: &str = r#"<DescribeVpcEndpointsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><vpcEndpointSet>
  <item><vpcEndpointId>vpce-1</vpcEndpointId><vpcEndpointType>Gateway</vpcEndpointType><vpcId>vpc-1</vpcId>
    <serviceName>com.amazonaws.eu-west-1.s3</serviceName><state>available</state>
    <routeTableIdSet><item>rtb-own</item></routeTableIdSet><privateDnsEnabled>false</privateDnsEnabled></item>
  <item><vpcEndpointId>vpce-2</vpcEndpointId><vpcEndpointType>Interface</vpcEndpointType><vpcId>vpc-1</vpcId>
    <serviceName>com.amazonaws.eu-west-1.ecr.dkr</serviceName><state>Available</state>
    <routeTableIdSet/><subnetIdSet><item>subnet-0aaaaaaaaaaaaaaaa</item></subnetIdSet><privateDnsEnabled>true</privateDnsEnabled></item>
  <item><vpcEndpointId>vpce-3</vpcEndpointId><vpcEndpointType>Gateway</vpcEndpointType><vpcId>vpc-1</vpcId>
    <serviceName>com.amazonaws.eu-west-1.dynamodb</serviceName><state>deleted</state></item>
  </vpcEndpointSet></DescribeVpcEndpointsResponse>"#;

fn subnets() -> [SubnetId; 1] {
    [SubnetId::parse("subnet-0aaaaaaaaaaaaaaaa").unwrap()]
}

async fn network(url: &str) -> Result<NetworkInfo, OperateError> {
    Operator::new(&connection(&[("AWS_ENDPOINT_URL_EC2", url)])).network(&subnets()).await
}

fn error(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>r</RequestID></Response>"
    )
}

#[tokio::test]
async fn subnets_route_tables_and_endpoints_are_read_page_by_page() {
    let answers = [(200, SUBNETS), (200, TABLES[0]), (200, TABLES[1]), (200, ENDPOINTS)];
    let (ec2, url) = Ec2::answering(&answers).await;
    let found = network(&url).await.unwrap();
    let route = |to: &str, via: &str, is_active| Route { to: to.to_owned(), via: via.to_owned(), is_active };
    let vpc = "vpc-1".to_owned();
    let own = "subnet-0aaaaaaaaaaaaaaaa".to_owned();
    let owner = "123456789012".to_owned();
    assert_eq!(found.subnets, [Subnet { id: own.clone(), vpc: vpc.clone(), owner, free_addresses: 251 }]);
    let main = RouteTable {
        id: "rtb-main".to_owned(),
        vpc: vpc.clone(),
        is_main: true,
        subnets: Vec::new(),
        routes: vec![route("10.0.0.0/16", "local", true)],
    };
    let of_subnet = RouteTable {
        id: "rtb-own".to_owned(),
        vpc: vpc.clone(),
        is_main: false,
        subnets: vec![own],
        routes: vec![route("0.0.0.0/0", "nat-1", false), route("pl-6da54004", "vpce-1", true)],
    };
    assert_eq!(found.route_tables, [main, of_subnet]);
    let s3 = Endpoint {
        id: "vpce-1".to_owned(),
        vpc: vpc.clone(),
        service: "com.amazonaws.eu-west-1.s3".to_owned(),
        is_gateway: true,
        route_tables: vec!["rtb-own".to_owned()],
        has_private_dns: false,
    };
    let registry = Endpoint {
        id: "vpce-2".to_owned(),
        vpc,
        service: "com.amazonaws.eu-west-1.ecr.dkr".to_owned(),
        is_gateway: false,
        route_tables: Vec::new(),
        has_private_dns: true,
    };
    assert_eq!(found.endpoints, [s3, registry], "one that is deleted serves nothing");
    assert_eq!(
        ec2.requests(),
        [
            "SubnetId.1=subnet-0aaaaaaaaaaaaaaaa&Action=DescribeSubnets&Version=2016-11-15",
            "Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1&Action=DescribeRouteTables&Version=2016-11-15",
            "Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1&Action=DescribeRouteTables&Version=2016-11-15&NextToken=more%2B%2F%3D",
            "Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1&Action=DescribeVpcEndpoints&Version=2016-11-15",
        ]
    );
}

#[tokio::test]
async fn a_subnet_that_does_not_exist_is_missing() {
    let unknown =
        error("InvalidSubnetID.NotFound", "The subnet ID 'subnet-0aaaaaaaaaaaaaaaa' does not exist");
    let (_, url) = Ec2::answering(&[(400, &unknown)]).await;
    let told = network(&url).await.unwrap_err();
    assert!(matches!(told, OperateError::Missing(_)), "{told:?}");
    assert!(told.to_string().contains("subnet-0aaaaaaaaaaaaaaaa"), "{told}");
}

#[tokio::test]
async fn a_caller_without_the_permission_is_told_which() {
    let denied = error("UnauthorizedOperation", "You are not authorized to perform this operation.");
    let (_, url) = Ec2::answering(&[(200, SUBNETS), (403, &denied)]).await;
    let told = network(&url).await.unwrap_err();
    assert!(denies_caller(&told));
    assert!(told.to_string().starts_with("ec2:DescribeRouteTables on "), "{told}");
}

#[tokio::test]
async fn a_throttled_read_is_tried_again_and_one_that_stays_so_is_an_error() {
    let throttled = error("RequestLimitExceeded", "Request limit exceeded.");
    let answers = [(503, throttled.as_str()), (200, SUBNETS), (200, TABLES[1]), (200, ENDPOINTS)];
    let (ec2, url) = Ec2::answering(&answers).await;
    assert!(network(&url).await.is_ok());
    assert_eq!(ec2.requests().len(), 4);
    let (ec2, url) = Ec2::answering(&[(503, &throttled), (503, &throttled), (503, &throttled)]).await;
    let told = network(&url).await.unwrap_err();
    assert!(matches!(&told, OperateError::Failed { action: "ec2:DescribeSubnets", .. }), "{told:?}");
    assert_eq!(ec2.requests().len(), 3);
}

/// Gives a key after longer than a call's attempt takes.
#[derive(Debug)]
struct Slow;

impl ProvideCredentials for Slow {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            tokio::time::sleep(Duration::from_secs(9)).await;
            Ok(Credentials::new("AKIA", "s3cret", None, None, "test"))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_takes_longer_than_an_attempt_is_waited_for() {
    // No real answer is awaited in time that is skipped: the key comes, and then nothing listens.
    let variables = HashMap::from([
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", "s3cret"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
    ]);
    let environment = Environment::read(|name| variables.get(name).map(|&value| value.to_owned())).unwrap();
    let connection = Connection::of_caller(environment, SharedCredentialsProvider::new(Slow)).unwrap();
    let operator = Operator::new(&connection);
    let by_query = chain(&operator.network(&subnets()).await.unwrap_err());
    assert!(by_query.contains("onnect"), "{by_query}");
    let by_sdk = chain(&operator.cluster("ci").await.unwrap_err());
    assert!(by_sdk.contains("onnect"), "{by_sdk}");
}
