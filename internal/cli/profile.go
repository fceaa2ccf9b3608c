package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"weir/internal/app"
)

// profile is the JSON of `weir env --profile`.
type profile struct {
	Name        string `json:"profile"`
	Config      string `json:"configFile"`
	Credentials string `json:"credentialsFile"`
	EndpointURL string `json:"endpointUrl"`
	Region      string `json:"region"`
}

var profileName = regexp.MustCompile(`^[A-Za-z0-9_.@+-]{1,64}$`)

func checkProfileName(name string) error {
	if !profileName.MatchString(name) {
		return fmt.Errorf("--profile %q: give a name of letters, digits and _.@+-", name)
	}
	return nil
}

// ofOthers are settings of a profile that gets its credentials elsewhere.
var ofOthers = []string{"role_arn", "sso_session", "sso_start_url", "sso_account_id", "credential_process", "credential_source", "source_profile", "web_identity_token_file"}

// writeProfile points a profile of AWS's tools at the server. A profile of
// somebody else's is left alone.
func (c *connection) writeProfile(name string, key app.AccessKey) (*profile, error) {
	config, err := openAWSFile(awsPath("AWS_CONFIG_FILE", "config"))
	if err != nil {
		return nil, &failure{exitFailure, err}
	}
	credentials, err := openAWSFile(awsPath("AWS_SHARED_CREDENTIALS_FILE", "credentials"))
	if err != nil {
		return nil, &failure{exitFailure, err}
	}
	section := "profile " + name
	if name == "default" {
		section = name
	}
	if err := checkOurs(name, config.settings(section), credentials.settings(name), key); err != nil {
		return nil, err
	}
	settings := [][2]string{{"endpoint_url", c.running.ControlURL}, {"region", c.running.Region}}
	if c.running.ControlCA != "" {
		settings = append(settings, [2]string{"ca_bundle", c.running.ControlCA})
	}
	config.set(section, settings)
	if err := config.save(false); err != nil {
		return nil, &failure{exitFailure, fmt.Errorf("writing the profile: %w", err)}
	}
	// Both may be one file.
	if credentials, err = openAWSFile(credentials.path); err != nil {
		return nil, &failure{exitFailure, err}
	}
	credentials.set(name, [][2]string{{"aws_access_key_id", key.ID}, {"aws_secret_access_key", key.Secret}})
	credentials.remove(name, "aws_session_token") // it went with the key of before
	if err := credentials.save(true); err != nil {
		return nil, &failure{exitFailure, fmt.Errorf("writing the profile's credentials: %w", err)}
	}
	return &profile{name, config.path, credentials.path, c.running.ControlURL, c.running.Region}, nil
}

// checkOurs refuses a profile that holds other credentials: of an AWS account,
// they could not be had again.
func checkOurs(name string, config, credentials map[string]string, key app.AccessKey) error {
	for _, setting := range ofOthers {
		if config[setting] != "" || credentials[setting] != "" {
			return &failure{exitFailure, fmt.Errorf("the profile %s is there and gets its credentials by %s: choose another name", name, setting)}
		}
	}
	have := credentials["aws_access_key_id"]
	if have == "" {
		have = config["aws_access_key_id"]
	}
	if have != "" && have != key.ID && config["endpoint_url"] == "" {
		return &failure{exitFailure, fmt.Errorf("the profile %s is there and holds another access key, %s, which would be lost: choose another name", name, have)}
	}
	if config["aws_access_key_id"] != "" && config["aws_access_key_id"] != key.ID {
		return &failure{exitFailure, errors.New("the profile " + name + " holds an access key in the configuration file: choose another name")}
	}
	return nil
}

// awsPath is where AWS's tools keep a file.
func awsPath(variable, name string) string {
	if path := os.Getenv(variable); path != "" {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = "."
	}
	return filepath.Join(home, ".aws", name)
}

func (p *profile) print(s *screen) {
	s.printf("The profile %s points at %s (%s):\n  aws --profile %s sts get-caller-identity\n", p.Name, p.EndpointURL, p.Region, p.Name)
	s.printf("Written to %s and %s.\n", clean(p.Config), clean(p.Credentials))
}
