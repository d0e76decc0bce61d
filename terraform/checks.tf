# Warnings of each plan and apply. They refuse nothing.

check "exec" {
  assert {
    condition     = alltrue([for class in values(var.runner_class_sizes) : !class.exec])
    error_message = "ECS Exec is on for ${join(", ", [for name, class in var.runner_class_sizes : "`${name}`" if class.exec])}. A job of such a class that is root can use its task's role at AWS (four actions of `ssmmessages`, and its own boot item), and everyone with `ecs:ExecuteCommand` can open a shell in it. Leave out `exec` in runner_class_sizes if that is not needed."
  }
}
