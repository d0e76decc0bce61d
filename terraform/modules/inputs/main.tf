# Compares inputs with the types of the root's variables, and names each key and value that does not fit. It creates
# nothing. Terraform itself drops a key that an object's type does not have, so that a misspelt setting has no effect. Of
# a wrong type or a null it names neither the key nor the value.

locals {
  # By path, with `*` for any key or element. `?` at the end: null is allowed. xtask/terraform/inputs.py writes the file.
  types = jsondecode(file("${path.module}/types.json"))
  words = {
    string = "a text"
    number = "a number"
    bool   = "true or false"
    list   = "a list (`[…]`)"
    map    = "a map (`{…}`)"
    object = "an object (`{…}`)"
  }

  # The keys of each object.
  objects = {
    for path, type in local.types : path => [for inner in keys(local.types) : trimprefix(inner, "${path}.") if can(regex("^\\Q${path}.\\E[^.]+$", inner))]
    if startswith(type, "object")
  }

  # Every value by its place, such as `runner_class_sizes.small.labels[0]`. Terraform has no recursion: each level has the
  # contents of the objects, maps and lists in the level above.
  level_1 = { for key, value in var.inputs : key => { path = key, value = value } }
  level_2 = merge([for place, it in local.level_1 : {
    for key, value in it.value : can(keys(it.value)) ? "${place}.${key}" : "${place}[${key}]" => {
      path  = "${it.path}.${contains(keys(local.objects), it.path) ? key : "*"}"
      value = value
    }
  } if can(regex(can(keys(it.value)) ? "^(object|map)" : "^list", local.types[it.path])) && can([for value in it.value : value])]...)
  level_3 = merge([for place, it in local.level_2 : {
    for key, value in it.value : can(keys(it.value)) ? "${place}.${key}" : "${place}[${key}]" => {
      path  = "${it.path}.${contains(keys(local.objects), it.path) ? key : "*"}"
      value = value
    }
  } if can(regex(can(keys(it.value)) ? "^(object|map)" : "^list", local.types[it.path])) && can([for value in it.value : value])]...)
  level_4 = merge([for place, it in local.level_3 : {
    for key, value in it.value : can(keys(it.value)) ? "${place}.${key}" : "${place}[${key}]" => {
      path  = "${it.path}.${contains(keys(local.objects), it.path) ? key : "*"}"
      value = value
    }
  } if can(regex(can(keys(it.value)) ? "^(object|map)" : "^list", local.types[it.path])) && can([for value in it.value : value])]...)
  level_5 = merge([for place, it in local.level_4 : {
    for key, value in it.value : can(keys(it.value)) ? "${place}.${key}" : "${place}[${key}]" => {
      path  = "${it.path}.${contains(keys(local.objects), it.path) ? key : "*"}"
      value = value
    }
  } if can(regex(can(keys(it.value)) ? "^(object|map)" : "^list", local.types[it.path])) && can([for value in it.value : value])]...)
  level_6 = merge([for place, it in local.level_5 : {
    for key, value in it.value : can(keys(it.value)) ? "${place}.${key}" : "${place}[${key}]" => {
      path  = "${it.path}.${contains(keys(local.objects), it.path) ? key : "*"}"
      value = value
    }
  } if can(regex(can(keys(it.value)) ? "^(object|map)" : "^list", local.types[it.path])) && can([for value in it.value : value])]...)

  values = {
    for place, it in merge(local.level_1, local.level_2, local.level_3, local.level_4, local.level_5, local.level_6) : place => {
      path     = it.path
      value    = it.value
      type     = trimsuffix(local.types[it.path], "?")
      nullable = endswith(local.types[it.path], "?")
      # Of an object: the keys that it has, may have and must have.
      keys     = try(keys(it.value), [])
      known    = lookup(local.objects, it.path, [])
      required = [for key in lookup(local.objects, it.path, []) : key if !endswith(local.types["${it.path}.${key}"], "?")]
    } if contains(keys(local.types), it.path)
  }

  mistakes = flatten([for place, it in local.values : concat(
    it.value != null || it.nullable ? [] : ["${place} is null: ${local.words[it.type]} is expected."],
    it.value == null || lookup({
      string = can(tostring(it.value))
      number = can(tonumber(it.value))
      bool   = can(tobool(it.value))
      list   = can([for value in it.value : value]) && !can(keys(it.value))
      map    = can(keys(it.value))
      object = can(keys(it.value))
    }, it.type, false) ? [] : ["${place} is ${try("`${it.value}`", can(keys(it.value)) ? "an object" : "a list")}: ${local.words[it.type]} is expected."],
    # Such as a version or a tag.
    it.type == "string" && !startswith(jsonencode(it.value), "\"") && try(floor(it.value) != it.value, false) ? ["${place} is the number ${it.value}: a text in quotes is expected, since 1.10 without quotes is 1.1."] : [],
    [for key in it.keys : "${place} has ${key}: one of ${join(", ", it.known)} is expected." if it.type == "object" && !contains(it.known, key)],
    [for key in it.required : "${place} has no ${key}: ${local.words[local.types["${it.path}.${key}"]]} is expected." if can(keys(it.value)) && !contains(it.keys, key)],
  )])
}
