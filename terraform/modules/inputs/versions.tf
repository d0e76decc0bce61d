# Requirements. No provider: nothing is created here.

terraform {
  required_version = ">= 1.9"
}
