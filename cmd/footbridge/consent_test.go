package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"footbridge/bridge/store"
	"footbridge/cmd/footbridge/app"
	"footbridge/identity"
	"footbridge/identity/consent"
)

const consentSubject = identity.Subject("https://social.example/users/alice")

// consentData makes a data folder in which one person has joined, and gives their receipt.
func consentData(t *testing.T) (dir string, receipt consent.Receipt) {
	t.Helper()
	dir = t.TempDir()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := identity.CreateKeyring(filepath.Join(dir, "master.key"))
	ok(err)
	private, _, err := note.GenerateKey(rand.Reader, "localhost/consent")
	ok(err)
	ok(os.WriteFile(filepath.Join(dir, "ledger.key"), []byte(private), 0o600))
	db, err := store.Open(context.Background(), store.Options{Path: filepath.Join(dir, "footbridge.db")})
	ok(err)
	desk, _, err := app.OpenDesk(app.Config{DataDir: dir, PublicURL: "http://localhost:8420"})
	ok(err)
	ok(store.Room[consent.Tx]{DB: db}.Update(context.Background(), func(tx consent.Tx) error {
		a, _, err := desk.Begin(tx, consent.Contact{Subject: consentSubject, Evidence: consent.Evidence{Type: consent.E2, Raw: []byte("follow")}})
		if err != nil {
			return err
		}
		if _, err = desk.Confirm(tx, consent.Confirmation{Subject: consentSubject, Evidence: consent.Evidence{Type: consent.E4, Raw: []byte("yes")}, Code: a.Code}); err != nil {
			return err
		}
		receipt, err = desk.Receipt(tx, consentSubject)
		return err
	}))
	ok(db.Close())
	return dir, receipt
}

// command runs footbridge and gives its exit code and output.
func command(args ...string) (int, string) {
	var out bytes.Buffer
	code := run(context.Background(), args, streams{strings.NewReader(""), &out, &out})
	return code, out.String()
}

func TestR21_ConsentAuditCommand(t *testing.T) {
	dir, _ := consentData(t)
	code, out := command("consent", "audit", "--data-dir", dir)
	if code != 0 || !strings.Contains(out, "2 entries (0 shredded), 1 subjects, 2 checkpoints: all agree") {
		t.Fatalf("exit %d:\n%s", code, out)
	}
	checkpoint := filepath.Join(t.TempDir(), "checkpoint")
	if err := os.WriteFile(checkpoint, []byte(out[strings.Index(out, "localhost/consent\n"):]), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := command("consent", "audit", "--data-dir", dir, "--checkpoint", checkpoint); code != 0 {
		t.Errorf("its own checkpoint: exit %d:\n%s", code, out)
	}
	other, _ := consentData(t)
	if code, out := command("consent", "audit", "--data-dir", other, "--checkpoint", checkpoint); code != exitFailed || !strings.Contains(out, "PROBLEM") {
		t.Errorf("another ledger's checkpoint: exit %d:\n%s", code, out)
	}
}

func TestR11_VerifyReceiptCommandIsOffline(t *testing.T) {
	dir, receipt := consentData(t)
	_, key := command("consent", "key", "--data-dir", dir)
	file := filepath.Join(t.TempDir(), "receipt.json")
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(receipt.JSON)
	verify := []string{"consent", "verify-receipt", file, "--key", strings.TrimSpace(key), "--data-dir", filepath.Join(dir, "nothing")}
	if code, out := command(verify...); code != 0 || !strings.Contains(out, "valid: entry 1 of localhost/consent") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	write(bytes.Replace(receipt.JSON, []byte("alice"), []byte("alicf"), 1))
	if code, _ := command(verify...); code != exitFailed {
		t.Errorf("a changed receipt: exit %d", code)
	}
}

func TestConsentShowAndExportCommands(t *testing.T) {
	dir, _ := consentData(t)
	if code, out := command("consent", "show", string(consentSubject), "--data-dir", dir); code != 0 || !strings.Contains(out, "grant") || !strings.Contains(out, "granted") {
		t.Errorf("show: exit %d:\n%s", code, out)
	}
	if code, out := command("consent", "export", "--data-dir", dir); code != 0 || strings.Count(out, "\n") != 2 || strings.Contains(out, "leaf") || strings.Contains(out, "alice") {
		t.Errorf("export: exit %d:\n%s", code, out)
	}
	if code, out := command("consent", "export", "--whole", "--data-dir", dir); code != 0 || !strings.Contains(out, "leaf") || strings.Contains(out, "alice") {
		t.Errorf("export --whole: exit %d:\n%s", code, out)
	}
}
