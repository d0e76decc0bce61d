# For deployments of versions that were applied in the directory `terraform` itself. A state of such a version that is
# copied here is taken over as it is (terraform/README.md, "Upgrade"). New deployments need none of this.

moved {
  from = module.network
  to   = module.ecsrunner.module.network
}

moved {
  from = module.state
  to   = module.ecsrunner.module.state
}

moved {
  from = module.image
  to   = module.ecsrunner.module.image
}

moved {
  from = module.fleet
  to   = module.ecsrunner.module.fleet
}

moved {
  from = module.managed_instances
  to   = module.ecsrunner.module.managed_instances
}

moved {
  from = module.parameters
  to   = module.ecsrunner.module.parameters
}

moved {
  from = module.webhook
  to   = module.ecsrunner.module.webhook
}

moved {
  from = module.control_plane
  to   = module.ecsrunner.module.control_plane
}

moved {
  from = module.observe
  to   = module.ecsrunner.module.observe
}
