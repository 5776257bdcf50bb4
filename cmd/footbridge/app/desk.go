package app

import (
	"fmt"
	"os"
	"path/filepath"

	"footbridge/identity"
	"footbridge/identity/consent"
)

// OpenDesk opens the consent desk for a command, with the keys that the bridge made at its first start, and gives the
// key with which checkpoints and receipts are verified.
func OpenDesk(c Config) (*consent.Desk, string, error) {
	a := &App{Config: c}
	a.defaults()
	text, err := os.ReadFile(filepath.Join(c.DataDir, "ledger.key"))
	if err != nil {
		return nil, "", fmt.Errorf("reading the ledger's key: %w", err)
	}
	verifier, err := consent.VerifierKey(string(text))
	if err != nil {
		return nil, "", err
	}
	if a.keys, err = identity.OpenKeyring(filepath.Join(c.DataDir, "master.key")); err != nil {
		return nil, "", err
	}
	conf, err := a.consentConfig()
	if err != nil {
		return nil, "", err
	}
	desk, err := consent.NewDesk(conf)
	return desk, verifier, err
}
