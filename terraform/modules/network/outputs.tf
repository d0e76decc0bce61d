# What the fleet uses of its network.

output "vpc_id" {
  description = "The VPC in which tasks run."
  value       = local.own ? var.network.vpc_id : aws_vpc.network["network"].id
}

output "subnet_ids" {
  description = "The subnets in which tasks run."
  value       = local.own ? [for subnet in data.aws_subnet.own : subnet.id] : [for subnet in aws_subnet.public : subnet.id]

  # A task in a subnet without a route could not pull its image.
  depends_on = [aws_route.internet, aws_route_table_association.public]
}

output "assign_public_ip" {
  description = "Whether tasks get a public IPv4 address."
  value       = local.assign_public_ip
}
