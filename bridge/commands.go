package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"footbridge/atproto/pds"
	"footbridge/identity"
	"footbridge/identity/consent"
	"footbridge/queue"
)

// message is a command of somebody, on either network.
type message struct {
	command  consent.Command
	evidence []byte
	lang     string
	signals  consent.Signals
	// e2 is the kind of evidence that a plain message is on this network.
	e2 consent.EvidenceType
}

func (m message) plain() consent.Evidence { return consent.Evidence{Type: m.e2, Raw: m.evidence} }

// obey does what the command says and answers in the person's language.
func (b *Bridge) obey(tx Tx, acc *identity.Account, m message) error {
	if err := b.Desk.Heard(tx, acc.Subject()); err != nil {
		return err
	}
	change, answer, err := b.act(tx, acc, m)
	if errors.Is(err, consent.ErrDenied) {
		return b.sayText(tx, acc, consent.PurposeAnswer, m.lang, "refused."+string(consent.ReasonOf(err)))
	}
	if err != nil {
		return err
	}
	if err := b.apply(tx, acc, change); err != nil || answer == "" {
		return err
	}
	return b.sayText(tx, acc, consent.PurposeAnswer, m.lang, answer)
}

// act runs one command; the answer is the id of a text.
func (b *Bridge) act(tx Tx, acc *identity.Account, m message) (change consent.Change, answer string, err error) {
	s := acc.Subject()
	switch m.command.Word {
	case consent.WordYes:
		if m.command.Code == "" {
			return change, "", b.contact(tx, acc, consent.Contact{Subject: s, Evidence: m.plain(), Lang: m.lang, Signals: m.signals})
		}
		change, err = b.Desk.Confirm(tx, consent.Confirmation{Subject: s, Evidence: consent.Evidence{Type: consent.E4, Raw: m.evidence},
			Code: m.command.Code, All: m.command.All, Lang: m.lang, Signals: m.signals})
		return change, "", err // the receipt is the answer
	case consent.WordNo, consent.WordStop:
		change, err = b.Desk.Withdraw(tx, s, m.plain())
		return change, "answer.stop", err
	case consent.WordPause:
		change, err = b.Desk.Pause(tx, s, m.plain())
		return change, "answer.pause", err
	case consent.WordResume:
		change, err = b.Desk.Resume(tx, s, m.plain())
		return change, "answer.resume", err
	case consent.WordPanic:
		change, err = b.Desk.Panic(tx, s, m.plain(), "self")
		return change, "answer.panic", err
	}
	return change, answerID(m.command.Word), nil
}

func answerID(w consent.Word) string {
	switch w {
	case consent.WordStatus, consent.WordScopes, consent.WordExport, consent.WordHelp:
		return "answer." + string(w)
	}
	return "answer.unknown"
}

// sayText sends one of the catalogue's sentences.
func (b *Bridge) sayText(tx Tx, acc *identity.Account, purpose, lang, id string) error {
	values, err := b.textValues(tx, acc, lang)
	if err != nil {
		return err
	}
	return b.say(tx, acc, purpose, b.Desk.Texts().Say(lang, id, values))
}

// textValues are what the answers may speak of.
func (b *Bridge) textValues(tx Tx, acc *identity.Account, lang string) (map[string]string, error) {
	say := func(id string) string { return b.Desk.Texts().Say(lang, id, nil) }
	v := map[string]string{"page": b.Settings.BaseURL + "/me", "state": say("state.unknown"), "scopes": say("receipt.nothing"), "copy": b.copyName(acc)}
	row, err := tx.ConsentRow(acc.Subject())
	if errors.Is(err, consent.ErrNone) {
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	var scopes []string
	for _, s := range row.Scopes {
		scopes = append(scopes, say("scope."+string(s)))
	}
	v["state"] = say("state." + string(row.State))
	if len(scopes) > 0 {
		v["scopes"] = strings.Join(scopes, say("list.comma"))
	}
	return v, nil
}

// copyName is the address of somebody's copy, as people on the other side would type it.
func (b *Bridge) copyName(acc *identity.Account) string {
	if acc.Native == identity.ATProto {
		return "@" + acc.Acct
	}
	return "@" + string(acc.Handle)
}

// reload brings an account that was read before, perhaps before slow work, up to what this transaction sees: writing an
// old copy back could undo a withdrawal.
func reload(tx Tx, acc *identity.Account) error {
	current, err := tx.AccountBySubject(acc.Subject())
	if err != nil {
		return fmt.Errorf("reading an account again: %w", err)
	}
	*acc = *current
	return nil
}

// apply takes a change of consent into effect, in its own transaction: make the copy, hide it, show it, erase it.
func (b *Bridge) apply(tx Tx, acc *identity.Account, ch consent.Change) error {
	if ch.Event == "" {
		return nil
	}
	if err := reload(tx, acc); err != nil {
		return err
	}
	acc.Epoch = max(acc.Epoch, ch.Epoch)
	if err := tx.PutAccount(acc); err != nil {
		return err
	}
	switch ch.State {
	case consent.Granted:
		return b.appliedGrant(tx, acc, ch)
	case consent.Paused, consent.Moved, consent.Denied:
		return b.hide(tx, acc)
	case consent.Withdrawn:
		return b.startErasure(tx, acc)
	case consent.Refused:
		if acc.Status == identity.CopyNone {
			return tx.DeleteAccount(acc.Subject())
		}
		return b.startErasure(tx, acc)
	}
	return nil
}

func (b *Bridge) appliedGrant(tx Tx, acc *identity.Account, ch consent.Change) error {
	switch acc.Status {
	case identity.CopyActive:
		if ch.Event == consent.EventGrant {
			return b.sayReceipt(tx, acc)
		}
		return nil
	case identity.CopyHidden:
		return b.show(tx, acc)
	}
	return b.granted(tx, acc, ch)
}

// mayAct tells whether what somebody did is carried: while a copy is hidden only what takes something back (invariant 7:
// undo beats do), so that it does not return when the copy does.
func mayAct(acc *identity.Account, removal bool) bool {
	return acc != nil && (acc.Status == identity.CopyActive || removal && acc.Status == identity.CopyHidden)
}

// hide takes a copy out of sight without destroying it.
func (b *Bridge) hide(tx Tx, acc *identity.Account) error {
	if err := reload(tx, acc); err != nil {
		return err
	}
	if acc.Status != identity.CopyActive {
		return nil
	}
	acc.Status = identity.CopyHidden
	if err := tx.PutAccount(acc); err != nil {
		return err
	}
	if _, err := tx.DropSubjectJobs(string(acc.Subject()), acc.Epoch, JobDelete, JobErase, JobTombstone, JobNotify, JobInbound, JobCommit); err != nil {
		return err
	}
	if acc.Native == identity.ActivityPub {
		return b.hideRepo(tx, acc, pds.StatusDeactivated)
	}
	return nil
}

// show brings a hidden copy back.
func (b *Bridge) show(tx Tx, acc *identity.Account) error {
	if err := reload(tx, acc); err != nil {
		return err
	}
	if acc.Status != identity.CopyHidden {
		return nil
	}
	row, err := tx.ConsentRow(acc.Subject())
	if err != nil || row.State != consent.Granted {
		return err // hidden for a reason of the person's own
	}
	acc.Status = identity.CopyActive
	if err := tx.PutAccount(acc); err != nil {
		return err
	}
	if acc.Native == identity.ActivityPub {
		permit, err := b.Gate.Publish(context.Background(), tx, acc.Subject(), consent.ScopeProfile)
		if err != nil {
			return err
		}
		if err := b.Host.SetStatus(tx, permit, acc.DID, pds.StatusActive); err != nil {
			return fmt.Errorf("showing a repo again: %w", err)
		}
	}
	r, err := subjectJob(JobRefresh, acc, "")
	if err != nil {
		return err
	}
	return tx.Enqueue(r)
}

// sayReceipt sends the receipt in words; the JSON form is on the person's page.
func (b *Bridge) sayReceipt(tx Tx, acc *identity.Account) error {
	receipt, err := b.Desk.Receipt(tx, acc.Subject())
	if err != nil {
		return fmt.Errorf("making a receipt: %w", err)
	}
	text := receipt.Words + "\n\n" + b.copyName(acc)
	return b.say(tx, acc, consent.PurposeReceipt, text)
}

// sayLast is the report at the end of an erasure.
func (b *Bridge) sayLast(tx Tx, acc *identity.Account, places int) error {
	if acc.Native == identity.ATProto && b.Chat == nil {
		return nil
	}
	text := b.Desk.Texts().Say("en", "report.erased", map[string]string{"places": fmt.Sprint(places)})
	p := NotifyJob{To: acc.Subject(), Purpose: consent.PurposeReceipt, Text: text}
	if acc.Native == identity.ActivityPub {
		return b.sendNote(tx, acc, p, "bye")
	}
	j, err := job(JobNotify, "notify:"+string(acc.Subject()), p)
	if err != nil {
		return err
	}
	j.Priority = queue.Urgent
	return tx.Enqueue(j)
}

// handleReconcile brings a copy into the state that the consent row says: somebody, or an operator's command, changed it
// without going through the flows.
func (b *Bridge) handleReconcile(ctx context.Context, j queue.Job) error {
	p, err := decode[SubjectJob](j)
	if err != nil {
		return err
	}
	return b.done(ctx, j, func(tx Tx) error {
		acc, err := account(tx, p.Subject)
		if err != nil || acc == nil {
			return err
		}
		row, err := tx.ConsentRow(p.Subject)
		if errors.Is(err, consent.ErrNone) {
			return nil
		}
		if err != nil {
			return err
		}
		return b.apply(tx, acc, consent.Change{Subject: p.Subject, State: row.State, Reason: row.Reason, Event: "reconcile", Epoch: row.Epoch, Incarnation: row.Incarnation})
	})
}

// Reconcile is the job that does so, for commands that change consent while the bridge runs.
func Reconcile(s identity.Subject) (queue.Job, error) {
	j, err := job(JobReconcile, "reconcile:"+string(s), SubjectJob{Subject: s})
	j.Priority = queue.Urgent
	return j, err
}
