# Creates a small VPC of public subnets, one in each of at most three zones, or uses an existing network.
#
# There is no NAT, so that an idle month costs nothing. A task has its own public address, and nothing can
# reach it, since its security group has no ingress. The gateway endpoints keep traffic to S3 (which holds
# ECR's layers) and DynamoDB off the internet, and are free. A VPC can only be named by a tag.

locals {
  name = "ecsrunner-${var.deployment}"

  # Depends on the list, not on the VPC's id: whether it is null is known at plan time, even if the ids are not.
  own  = var.network.subnet_ids != null
  made = local.own ? {} : { network = var.network.cidr }

  # The first three by name: a zone that AWS adds comes later and changes none of them.
  zones = { for i, zone in sort(data.aws_availability_zones.offered.names) : zone => i if i < 3 && !local.own }

  gateway_services   = toset(local.own ? [] : ["s3", "dynamodb"])
  interface_services = toset(local.own || !var.network.interface_endpoints ? [] : ["ecr.api", "ecr.dkr", "logs", "ssmmessages"])

  assign_public_ip = coalesce(var.network.assign_public_ip, !local.own)
}

# Looked up, so that a Region that lacks one of them fails in the plan, and the provider knows the names.
data "aws_vpc_endpoint_service" "gateway" {
  for_each = local.gateway_services

  service      = each.key
  service_type = "Gateway"
}

data "aws_vpc_endpoint_service" "interface" {
  for_each = local.interface_services

  service      = each.key
  service_type = "Interface"
}

data "aws_availability_zones" "offered" {
  #checkov:skip=CKV_AWS_394:The first three by name are used; the names that an account has are not known here.
  state = "available"
  # Fargate is not offered in these zones (AWS, "Supported Regions for Amazon ECS on AWS Fargate", read 2026-11).
  exclude_zone_ids = ["usw1-az2", "apne1-az3", "cnn1-az3"]

  # Excludes Local Zones and Wavelength Zones.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

# Existing subnets are looked up, so that a plan refuses those of another VPC.
data "aws_subnet" "own" {
  for_each = { for i, id in coalesce(var.network.subnet_ids, []) : tostring(i) => id }

  id = each.value

  lifecycle {
    postcondition {
      condition     = self.vpc_id == var.network.vpc_id
      error_message = "network.subnet_ids: ${self.id} is in ${self.vpc_id}: a subnet of network.vpc_id, ${coalesce(var.network.vpc_id, "null")}, is expected."
    }
  }
}

resource "aws_vpc" "network" {
  #checkov:skip=CKV2_AWS_11:Flow logs are billed per gigabyte that jobs download; operators can add them to the VPC.
  for_each = local.made

  cidr_block           = each.value
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = merge(var.tags, { Name = local.name })
}

# Removes the default group's rules, which would let its members talk to each other.
resource "aws_default_security_group" "empty" {
  for_each = aws_vpc.network

  vpc_id = each.value.id

  tags = var.tags
}

resource "aws_internet_gateway" "network" {
  for_each = aws_vpc.network

  vpc_id = each.value.id

  tags = var.tags
}

resource "aws_subnet" "public" {
  for_each = local.zones

  vpc_id            = aws_vpc.network["network"].id
  availability_zone = each.key
  # A quarter each; the fourth is kept in reserve.
  cidr_block = cidrsubnet(var.network.cidr, 2, each.value)
  # RunTask requests a public address for each task, so nothing else in the subnet gets one.
  map_public_ip_on_launch = false

  tags = var.tags
}

resource "aws_route_table" "public" {
  for_each = aws_vpc.network

  vpc_id = each.value.id

  tags = var.tags
}

resource "aws_route" "internet" {
  for_each = aws_route_table.public

  route_table_id         = each.value.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.network[each.key].id
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public

  subnet_id      = each.value.id
  route_table_id = aws_route_table.public["network"].id
}

# Without endpoint policies: jobs can reach any bucket and table for which they have credentials.
resource "aws_vpc_endpoint" "gateway" {
  for_each = data.aws_vpc_endpoint_service.gateway

  vpc_id            = aws_vpc.network["network"].id
  vpc_endpoint_type = "Gateway"
  service_name      = each.value.service_name
  route_table_ids   = [aws_route_table.public["network"].id]

  tags = var.tags
}

resource "aws_security_group" "endpoints" {
  #checkov:skip=CKV2_AWS_5:The interface endpoints below use it, each created by for_each.
  for_each = length(local.interface_services) > 0 ? aws_vpc.network : {}

  name        = "${local.name}-endpoints"
  description = "HTTPS from the runners to the interface endpoints"
  vpc_id      = each.value.id

  tags = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  for_each = aws_security_group.endpoints

  security_group_id = each.value.id
  description       = "HTTPS from within the VPC"
  cidr_ipv4         = var.network.cidr
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443

  tags = var.tags
}

resource "aws_vpc_endpoint" "interface" {
  for_each = data.aws_vpc_endpoint_service.interface

  vpc_id              = aws_vpc.network["network"].id
  vpc_endpoint_type   = "Interface"
  service_name        = each.value.service_name
  subnet_ids          = [for subnet in aws_subnet.public : subnet.id]
  security_group_ids  = [aws_security_group.endpoints["network"].id]
  private_dns_enabled = true

  tags = var.tags
}
