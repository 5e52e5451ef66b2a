//! A scripted double of the AWS services that the ECS driver talks to.
