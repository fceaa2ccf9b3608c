// Package e2e drives the built weir binary with what its users use: the aws
// CLI, aws-sdk-go-v2 and curl. It holds tests only.
//
// A tool that is not installed skips its tests and says so; with
// WEIR_TEST_ALL=1 a missing tool is a failure.
package e2e
