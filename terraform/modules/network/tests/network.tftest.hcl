# Tests the planned network, and that each invalid value is refused.

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-west-1a", "eu-west-1b", "eu-west-1c", "eu-west-1d"] }
  }
  mock_data "aws_subnet" {
    defaults = { vpc_id = "vpc-0123456789abcdef0" }
  }
}

# The services' names, as AWS answers them.
override_data {
  target = data.aws_vpc_endpoint_service.gateway["s3"]
  values = { service_name = "com.amazonaws.eu-west-1.s3" }
}

override_data {
  target = data.aws_vpc_endpoint_service.gateway["dynamodb"]
  values = { service_name = "com.amazonaws.eu-west-1.dynamodb" }
}

variables {
  deployment = "ci"
}

run "a_vpc_of_three_public_subnets_without_nat_is_the_default" {
  command = plan

  assert {
    condition     = aws_vpc.network["network"].cidr_block == "10.73.0.0/16"
    error_message = "the default VPC's addresses differ"
  }
  assert {
    condition     = { for zone, subnet in aws_subnet.public : zone => subnet.cidr_block } == { eu-west-1a = "10.73.0.0/18", eu-west-1b = "10.73.64.0/18", eu-west-1c = "10.73.128.0/18" }
    error_message = "one subnet in each of three zones is expected"
  }
  assert {
    condition     = alltrue([for subnet in aws_subnet.public : subnet.map_public_ip_on_launch == false])
    error_message = "a subnet assigns public addresses by default"
  }
  assert {
    condition     = toset([for endpoint in aws_vpc_endpoint.gateway : endpoint.service_name]) == toset(["com.amazonaws.eu-west-1.s3", "com.amazonaws.eu-west-1.dynamodb"])
    error_message = "gateway endpoints for S3 and DynamoDB are expected"
  }
  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && length(aws_security_group.endpoints) == 0
    error_message = "interface endpoints are charged, so they must be off by default"
  }
  assert {
    condition     = output.assign_public_ip == true
    error_message = "without a NAT a task needs a public address"
  }
}

run "a_small_region_and_a_small_network_do" {
  command = plan

  override_data {
    target = data.aws_availability_zones.offered
    values = { names = ["us-west-1a", "us-west-1c"] }
  }

  variables {
    network = { cidr = "192.168.7.0/24" }
  }

  assert {
    condition     = [for subnet in aws_subnet.public : subnet.cidr_block] == ["192.168.7.0/26", "192.168.7.64/26"]
    error_message = "two zones must give two subnets"
  }
}

run "interface_endpoints_are_made_where_asked_for" {
  command = plan

  variables {
    network = { interface_endpoints = true }
  }

  assert {
    condition     = toset(keys(aws_vpc_endpoint.interface)) == toset(["ecr.api", "ecr.dkr", "logs", "ssmmessages"])
    error_message = "the services of the endpoints differ"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoints["network"].cidr_ipv4 == "10.73.0.0/16" && aws_vpc_security_group_ingress_rule.endpoints["network"].from_port == 443
    error_message = "endpoints must accept only HTTPS from the VPC"
  }
}

run "ones_own_network_is_passed_on" {
  command = apply

  override_data {
    target = data.aws_subnet.own["0"]
    values = { id = "subnet-0123456789abcdef0", vpc_id = "vpc-0123456789abcdef0" }
  }

  variables {
    network = { vpc_id = "vpc-0123456789abcdef0", subnet_ids = ["subnet-0123456789abcdef0"] }
  }

  assert {
    condition     = output.vpc_id == "vpc-0123456789abcdef0" && join(",", output.subnet_ids) == "subnet-0123456789abcdef0" && output.assign_public_ip == false
    error_message = "the outputs differ from the given network"
  }
  assert {
    condition     = length(aws_vpc.network) + length(aws_subnet.public) + length(aws_vpc_endpoint.gateway) + length(aws_internet_gateway.network) == 0
    error_message = "nothing must be created in an existing network"
  }
}

run "ones_own_public_subnets_can_have_addresses" {
  command = plan

  variables {
    network = { vpc_id = "vpc-0123456789abcdef0", subnet_ids = ["subnet-01234567"], assign_public_ip = true }
  }

  assert {
    condition     = output.assign_public_ip == true
    error_message = "assign_public_ip is not passed on"
  }
}

run "a_subnet_of_another_vpc_is_refused" {
  command = plan

  override_data {
    target = data.aws_subnet.own["0"]
    values = { id = "subnet-0123456789abcdef0", vpc_id = "vpc-99999999" }
  }

  variables {
    network = { vpc_id = "vpc-0123456789abcdef0", subnet_ids = ["subnet-0123456789abcdef0"] }
  }

  expect_failures = [data.aws_subnet.own["0"]]
}

run "a_deployment_name_in_capitals_is_refused" {
  command = plan
  variables {
    deployment = "CI"
  }
  expect_failures = [var.deployment]
}

run "a_cidr_with_host_bits_is_refused" {
  command = plan
  variables {
    network = { cidr = "10.73.0.1/16" }
  }
  expect_failures = [var.network]
}

run "a_cidr_too_small_for_subnets_is_refused" {
  command = plan
  variables {
    network = { cidr = "10.73.0.0/25" }
  }
  expect_failures = [var.network]
}

run "a_vpc_without_subnets_is_refused" {
  command = plan
  variables {
    network = { vpc_id = "vpc-0123456789abcdef0" }
  }
  expect_failures = [var.network]
}

run "a_vpc_id_that_is_none_is_refused" {
  command = plan
  variables {
    network = { vpc_id = "my-vpc", subnet_ids = ["subnet-01234567"] }
  }
  expect_failures = [var.network]
}

run "a_subnet_named_twice_is_refused" {
  command = plan
  variables {
    network = { vpc_id = "vpc-01234567", subnet_ids = ["subnet-01234567", "subnet-01234567"] }
  }
  expect_failures = [var.network]
}

run "an_empty_list_of_subnets_is_refused" {
  command = plan
  variables {
    network = { vpc_id = "vpc-01234567", subnet_ids = [] }
  }
  expect_failures = [var.network]
}

run "a_vpc_without_nat_and_without_addresses_is_refused" {
  command = plan
  variables {
    network = { assign_public_ip = false }
  }
  expect_failures = [var.network]
}

run "endpoints_in_ones_own_vpc_are_refused" {
  command = plan
  variables {
    network = { vpc_id = "vpc-01234567", subnet_ids = ["subnet-01234567"], interface_endpoints = true }
  }
  expect_failures = [var.network]
}
