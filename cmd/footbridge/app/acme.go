package app

import (
	"crypto/tls"
	"net"
	"path/filepath"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"footbridge/bridge/netguard"
)

// secure puts TLS with certificates by ACME on the listener, where the operator gave a contact. Only the public host gets
// one: handles of the zone are answered by DNS then (dns_listen), not by HTTPS. The challenge is TLS-ALPN-01, so port 443
// is all that is needed.
func (a *App) secure(plain net.Listener) net.Listener {
	if a.Config.ACMEEmail == "" {
		return plain
	}
	m := &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(filepath.Join(a.Config.DataDir, "acme")), Email: a.Config.ACMEEmail,
		HostPolicy: autocert.HostWhitelist(a.Config.Hostname()),
		Client:     &acme.Client{DirectoryURL: a.Config.ACMEURL, HTTPClient: a.guard.Client(netguard.DocumentLimit), UserAgent: a.userAgent()},
	}
	c := m.TLSConfig()
	c.MinVersion = tls.VersionTLS12
	return tls.NewListener(plain, c)
}
