# Warnings of each plan and apply. They refuse nothing.

check "service_images" {
  assert {
    condition     = alltrue(flatten([for class in values(var.runner_class_sizes) : [for service in values(class.services) : can(regex("@sha256:", service.image))]]))
    error_message = "services whose images have no digest: ${join(", ", flatten([for name, class in var.runner_class_sizes : [for service, it in class.services : "`${it.image}` (`${service}` of class `${name}`)" if !can(regex("@sha256:", it.image))]]))}. Their tags can be moved to other images. NAME:TAG@sha256:DIGEST is the same image each day, and workflows go on asking for NAME:TAG."
  }
}

check "exec" {
  assert {
    condition     = alltrue([for class in values(var.runner_class_sizes) : !class.exec])
    error_message = "ECS Exec is on for ${join(", ", [for name, class in var.runner_class_sizes : "`${name}`" if class.exec])}. A job of such a class that is root can use its task's role at AWS (four actions of `ssmmessages`, and its own boot item), and everyone with `ecs:ExecuteCommand` can open a shell in it. Leave out `exec` in runner_class_sizes if that is not needed."
  }
}
