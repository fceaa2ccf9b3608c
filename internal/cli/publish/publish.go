// Package publish puts a folder behind a key: function, permission, API,
// deployment, usage plan and key, made or brought up to date by AWS's own APIs.
// The same calls go to a weir and to an AWS account.
package publish
