package cli

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"weir/internal/app"
)

// profileIn writes the profile "w" into files that hold these texts; a text of
// "-" is a file that is not there.
func profileIn(t *testing.T, name, config, credentials string) (newConfig, newCredentials string, err error) {
	t.Helper()
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "aws", "config"), filepath.Join(dir, "aws", "credentials")}
	t.Setenv("AWS_CONFIG_FILE", files[0])
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", files[1])
	for i, text := range []string{config, credentials} {
		if text == "-" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(files[i]), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(files[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	conn := &connection{running: app.Running{ControlURL: "http://127.0.0.1:4566", Region: "eu-west-1"}}
	_, err = conn.writeProfile(name, app.AccessKey{ID: "AKIANEW", Secret: "hush"})
	var got [2]string
	for i, file := range files {
		text, readErr := os.ReadFile(file)
		got[i] = string(text)
		if os.IsNotExist(readErr) {
			got[i] = "-"
		}
	}
	left, globErr := filepath.Glob(filepath.Join(dir, "aws", ".weir-*"))
	if globErr != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, globErr)
	}
	return got[0], got[1], err
}

const (
	ourConfig      = "endpoint_url = http://127.0.0.1:4566\nregion = eu-west-1\n"
	ourCredentials = "aws_access_key_id = AKIANEW\naws_secret_access_key = hush\n"
)

func TestProfile(t *testing.T) {
	for _, c := range []struct {
		name, profile                       string
		config, credentials                 string
		wantConfig, wantCredentials, refuse string
	}{
		{
			name: "no files", profile: "w", config: "-", credentials: "-",
			wantConfig: "[profile w]\n" + ourConfig, wantCredentials: "[w]\n" + ourCredentials,
		},
		{
			name: "default", profile: "default", config: "-", credentials: "-",
			wantConfig: "[default]\n" + ourConfig, wantCredentials: "[default]\n" + ourCredentials,
		},
		{
			name: "others stay byte for byte", profile: "w",
			config:      "# mine\n[default]\nregion=us-east-2 # here\n\n\n[profile  a]\noutput =  json",
			credentials: "; keep\n[a]\naws_access_key_id=AKIAOLD\n\taws_secret_access_key = x\n",
			wantConfig:  "# mine\n[default]\nregion=us-east-2 # here\n\n\n[profile  a]\noutput =  json\n\n[profile w]\n" + ourConfig,
			wantCredentials: "; keep\n[a]\naws_access_key_id=AKIAOLD\n\taws_secret_access_key = x\n\n" +
				"[w]\n" + ourCredentials,
		},
		{
			name: "an update keeps what else the profile holds", profile: "w",
			config: "[profile \"w\"]\n# note\nregion=old\ns3 =\n  endpoint_url = http://other\n  region = inner\noutput = json\nendpoint_url=http://old\n\n# of a\n[profile a]\nregion = x\n",
			wantConfig: "[profile \"w\"]\n# note\nregion = eu-west-1\ns3 =\n  endpoint_url = http://other\n  region = inner\noutput = json\n" +
				"endpoint_url = http://127.0.0.1:4566\n\n# of a\n[profile a]\nregion = x\n",
			credentials:     "[w]\naws_secret_access_key = old\naws_session_token = t\naws_access_key_id = AKIAOLD\n[z]\n",
			wantCredentials: "[w]\naws_secret_access_key = hush\naws_access_key_id = AKIANEW\n[z]\n",
		},
		{
			name: "a setting is added before the blanks and comments that follow", profile: "w",
			config:     "[profile w]\noutput = text\n\n# of a\n[profile a]\n",
			wantConfig: "[profile w]\noutput = text\n" + ourConfig + "\n# of a\n[profile a]\n", credentials: "-",
			wantCredentials: "[w]\n" + ourCredentials,
		},
		{
			name: "line ends of Windows", profile: "w",
			config: "[profile a]\r\nregion = x\r\n", credentials: "-",
			wantConfig:      "[profile a]\r\nregion = x\r\n\r\n[profile w]\r\n" + strings.ReplaceAll(ourConfig, "\n", "\r\n"),
			wantCredentials: "[w]\n" + ourCredentials,
		},
		{
			name: "a header without its line's end", profile: "w", config: "[profile w]", credentials: "[w]",
			wantConfig: "[profile w]\n" + ourConfig, wantCredentials: "[w]\n" + ourCredentials,
		},
		{
			name: "an account's keys", profile: "w", config: "[profile w]\nregion = x\n",
			credentials: "[w]\naws_access_key_id = AKIAREAL\naws_secret_access_key = y\n", refuse: "AKIAREAL",
		},
		{
			name: "an account's keys in the configuration", profile: "w",
			config: "[profile w]\nendpoint_url = http://x\naws_access_key_id = AKIAREAL\n", credentials: "-", refuse: "another name",
		},
		{name: "a role", profile: "w", config: "[profile w]\nrole_arn = arn\nendpoint_url = http://x\n", credentials: "-", refuse: "role_arn"},
		{
			name: "our key, endpoint lost", profile: "w", config: "-", credentials: "[w]\n" + ourCredentials,
			wantConfig: "[profile w]\n" + ourConfig, wantCredentials: "[w]\n" + ourCredentials,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, credentials, err := profileIn(t, c.profile, c.config, c.credentials)
			if c.refuse != "" {
				c.wantConfig, c.wantCredentials = c.config, c.credentials
				if err == nil || !strings.Contains(err.Error(), c.refuse) {
					t.Errorf("said %v, want %q", err, c.refuse)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if config != c.wantConfig {
				t.Errorf("config:\n%q\nwant\n%q", config, c.wantConfig)
			}
			if credentials != c.wantCredentials {
				t.Errorf("credentials:\n%q\nwant\n%q", credentials, c.wantCredentials)
			}
		})
	}
}

// TestProfileTwice: writing the same again changes nothing.
func TestProfileTwice(t *testing.T) {
	config, credentials, err := profileIn(t, "w", "[default]\nregion = x\n", "-")
	if err != nil {
		t.Fatal(err)
	}
	config2, credentials2, err := profileIn(t, "w", config, credentials)
	if err != nil || config2 != config || credentials2 != credentials {
		t.Errorf("%v\n%s%s", err, config2, credentials2)
	}
}

// TestProfileModes: credentials are private whatever they were; a
// configuration keeps its mode; a link stays a link.
func TestProfileModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: Windows keeps no modes")
	}
	dir := t.TempDir()
	real := filepath.Join(dir, "dotfiles-config")
	link := filepath.Join(dir, "config")
	secret := filepath.Join(dir, "credentials")
	for _, file := range []string{real, secret} {
		if err := os.WriteFile(file, []byte("[z]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", link)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", secret)
	conn := &connection{running: app.Running{ControlURL: "http://127.0.0.1:4566", Region: "eu-west-1"}}
	if _, err := conn.writeProfile("w", app.AccessKey{ID: "AKIANEW", Secret: "hush"}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]os.FileMode{real: 0o644, secret: 0o600} {
		info, err := os.Lstat(file)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v %v, want %v", file, info.Mode(), err, want)
		}
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v %v", info.Mode(), err)
	}
}

func TestProfileNames(t *testing.T) {
	for name, ok := range map[string]bool{"weir": true, "a.b_c@d+e-1": true, "": false, "a b": false, "a]": false, "a\nb": false, strings.Repeat("x", 65): false} {
		if err := checkProfileName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
