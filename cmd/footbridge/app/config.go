package app

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Config is the whole configuration. Each field can be set by a flag, by an environment variable (FOOTBRIDGE_ and the
// flag's name in capitals) and by the configuration file (YAML, the flag's name with underscores); the first of these wins.
type Config struct {
	PublicURL  string `help:"Where people and servers reach this bridge: scheme and host, no path." default:"http://localhost:8420" placeholder:"URL"`
	Listen     string `help:"Address to listen on." default:"127.0.0.1:8420" placeholder:"HOST:PORT"`
	DataDir    string `help:"Folder for the database, keys and media." default:"data" type:"path" placeholder:"DIR"`
	HandleZone string `help:"Domain under which copies of fediverse people get their handles; default ap.<host>." placeholder:"DOMAIN"`

	PLCURL  string   `name:"plc-url" help:"PLC directory." default:"https://plc.directory" placeholder:"URL"`
	Relays  []string `help:"Relays to read from and to announce to; the first is the main one." default:"https://bsky.network" placeholder:"URL"`
	AppView string   `name:"appview-url" help:"AppView asked whether copies are really seen." default:"https://public.api.bsky.app" placeholder:"URL"`
	Chat    string   `name:"chat-url" help:"Chat service of the AT side; empty: the page is offered instead." placeholder:"URL"`
	ChatDID string   `name:"chat-did" help:"DID of the chat service." default:"did:web:api.bsky.chat"`

	DatabaseURL     string `name:"database-url" help:"PostgreSQL URL; empty: SQLite in the data folder." placeholder:"URL" secret:"url"`
	DatabaseURLFile string `name:"database-url-file" help:"File that holds the PostgreSQL URL." type:"path" placeholder:"FILE"`
	RedisURL        string `name:"redis-url" help:"Redis URL for the queue's lanes; empty: lanes in memory." placeholder:"URL" secret:"url"`
	RedisURLFile    string `name:"redis-url-file" help:"File that holds the Redis URL." type:"path" placeholder:"FILE"`

	Operator string   `help:"Who runs this bridge, as people read it in the consent text." default:"the operator of this bridge" placeholder:"NAME"`
	Contact  string   `help:"Where people reach the operator." placeholder:"ADDRESS"`
	Confirm  string   `help:"two_step: a person confirms after reading the notice. one_step: the follow alone joins, with the smallest preset." default:"two_step" enum:"two_step,one_step"`
	Roles    []string `help:"What this process does: web, inbox, pds, firehose, worker." default:"web,inbox,pds,firehose,worker"`
	Workers  int      `help:"Jobs that run at once." default:"8"`

	SecureMode bool   `help:"Serve fediverse documents only to signed requests."`
	DNSListen  string `name:"dns-listen" help:"Address for the built-in DNS server of the handle zone; empty: none." placeholder:"HOST:PORT"`
	ACMEEmail  string `name:"acme-email" help:"Get TLS certificates by ACME under this contact; empty: a trusted proxy does TLS." placeholder:"ADDRESS"`
	ACMEURL    string `name:"acme-url" help:"ACME directory." default:"https://acme-v02.api.letsencrypt.org/directory" placeholder:"URL"`

	DevAllow []string `help:"Hosts (host:port, *.suffix:port) that may be dialled although they are on loopback, also by http. Only with a public URL on loopback or .test." placeholder:"HOST:PORT"`
	DevCA    string   `name:"dev-ca" help:"PEM file with one more certificate authority, for tests." type:"path" placeholder:"FILE"`
	LogLevel string   `help:"debug, info, warn or error." default:"info" enum:"debug,info,warn,error"`
}

// PublicPLC is the directory that a bridge on loopback never writes to.
const PublicPLC = "https://plc.directory"

// allRoles are the parts of a process.
var allRoles = []string{"web", "inbox", "pds", "firehose", "worker"}

// Validate completes the configuration and returns one clear sentence about the first thing that is wrong.
func (c *Config) Validate() error {
	for _, check := range []func() error{c.readSecretFiles, c.checkPublicURL, c.checkListen, c.checkZone, c.checkServices, c.checkRoles, c.checkDev, c.checkDataDir} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) readSecretFiles() error {
	for _, s := range []struct {
		file, name string
		into       *string
	}{
		{c.DatabaseURLFile, "database_url_file", &c.DatabaseURL}, {c.RedisURLFile, "redis_url_file", &c.RedisURL},
	} {
		if s.file == "" {
			continue
		}
		text, err := os.ReadFile(s.file)
		if err != nil {
			return fmt.Errorf("%s cannot be read: %w", s.name, err)
		}
		*s.into = strings.TrimSpace(string(text))
	}
	return nil
}

func (c *Config) checkPublicURL() error {
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("public_url is %q; it must look like https://bridge.example.org", c.PublicURL)
	}
	if (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("public_url is %q; it must be only a scheme and a host, without path or password", c.PublicURL)
	}
	if u.Scheme == "http" && !c.OnTestHost() {
		return fmt.Errorf("public_url is %q; http is allowed only on localhost, everybody else needs https", c.PublicURL)
	}
	c.PublicURL = strings.ToLower(u.Scheme + "://" + u.Host)
	return nil
}

func (c *Config) checkListen() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("listen is %q; it must look like 127.0.0.1:8420", c.Listen)
	}
	if c.Workers < 1 || c.Workers > 1024 {
		return fmt.Errorf("workers is %d; it must be between 1 and 1024", c.Workers)
	}
	return nil
}

func (c *Config) checkZone() error {
	if c.HandleZone == "" {
		c.HandleZone = "ap." + c.Hostname()
		if c.Hostname() == "localhost" || net.ParseIP(c.Hostname()) != nil {
			c.HandleZone = "ap.footbridge.test" // handles need a real domain or .test; nothing leaves a bridge on loopback
		}
	}
	c.HandleZone = strings.ToLower(strings.Trim(c.HandleZone, "."))
	if !strings.Contains(c.HandleZone, ".") || strings.ContainsAny(c.HandleZone, " /:_") {
		return fmt.Errorf("handle_zone is %q; it must be a domain such as ap.bridge.example.org", c.HandleZone)
	}
	return nil
}

func (c *Config) checkServices() error {
	for _, s := range []struct {
		name, value string
		optional    bool
		schemes     []string
	}{
		{"plc_url", c.PLCURL, false, []string{"https", "http"}},
		{"appview_url", c.AppView, true, []string{"https", "http"}},
		{"chat_url", c.Chat, true, []string{"https", "http"}},
		{"database_url", c.DatabaseURL, true, []string{"postgres", "postgresql"}},
		{"redis_url", c.RedisURL, true, []string{"redis", "rediss", "unix"}},
	} {
		if s.optional && s.value == "" {
			continue
		}
		u, err := url.Parse(s.value)
		if err != nil || !slices.Contains(s.schemes, u.Scheme) {
			return fmt.Errorf("%s must be a URL that starts with %s://", s.name, s.schemes[0])
		}
	}
	for _, r := range c.Relays {
		if u, err := url.Parse(r); err != nil || u.Host == "" || !slices.Contains([]string{"https", "http", "wss", "ws"}, u.Scheme) {
			return fmt.Errorf("relays has %q; a relay must look like https://bsky.network", r)
		}
	}
	return nil
}

func (c *Config) checkRoles() error {
	if len(c.Roles) == 0 {
		return errors.New("roles is empty; leave it out to run everything")
	}
	for _, r := range c.Roles {
		if !slices.Contains(allRoles, r) {
			return fmt.Errorf("roles has %q; the roles are %s", r, strings.Join(allRoles, ", "))
		}
	}
	if len(c.Roles) < len(allRoles) && c.DatabaseURL == "" {
		return errors.New("roles is set but database_url is not; several processes need PostgreSQL")
	}
	return nil
}

func (c *Config) checkDev() error {
	if len(c.DevAllow) == 0 && c.DevCA == "" {
		return nil
	}
	if !c.OnTestHost() {
		return fmt.Errorf("dev_allow and dev_ca are for tests; with public_url %s they would open your own network to strangers", c.PublicURL)
	}
	return nil
}

func (c *Config) checkDataDir() error {
	if c.DataDir == "" {
		return errors.New("data_dir is empty; name a folder")
	}
	abs, err := filepath.Abs(c.DataDir)
	if err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	c.DataDir = abs
	return nil
}

// Host is the host of the public URL, with its port if it has one.
func (c *Config) Host() string {
	u, err := url.Parse(c.PublicURL)
	if err != nil {
		return ""
	}
	return u.Host
}

// Hostname is Host without a port.
func (c *Config) Hostname() string {
	u, err := url.Parse(c.PublicURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// OnTestHost reports whether the public address is loopback or under .test.
func (c *Config) OnTestHost() bool {
	h := c.Hostname()
	ip := net.ParseIP(h)
	return h == "localhost" || strings.HasSuffix(h, ".test") || strings.HasSuffix(h, ".localhost") || (ip != nil && ip.IsLoopback())
}

// Offline reports that this bridge is a try-out on loopback with the public services configured: it then keeps to
// itself, because nobody outside could reach what it would announce.
func (c *Config) Offline() bool {
	return c.OnTestHost() && strings.TrimSuffix(c.PLCURL, "/") == PublicPLC
}

// Has reports whether this process plays a role.
func (c *Config) Has(role string) bool { return slices.Contains(c.Roles, role) }

// Effective lists the settings as the file would have them, passwords hidden.
func (c *Config) Effective() []string {
	var lines []string
	v := reflect.ValueOf(*c)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("name")
		if name == "" {
			name = kebab(f.Name)
		}
		value := fmt.Sprint(v.Field(i).Interface())
		if f.Tag.Get("secret") == "url" {
			value = hidePassword(value)
		}
		if list, ok := v.Field(i).Interface().([]string); ok {
			value = "[" + strings.Join(list, ", ") + "]"
		}
		lines = append(lines, strings.ReplaceAll(name, "-", "_")+": "+value)
	}
	return lines
}

func kebab(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && r >= 'A' && r <= 'Z' && !(s[i-1] >= 'A' && s[i-1] <= 'Z') {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

func hidePassword(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(hidden)"
	}
	return u.Redacted()
}

// StopGrace bounds how long a stopping process waits for running work.
const StopGrace = 20 * time.Second
