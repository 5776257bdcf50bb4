package consent

import "errors"

// Reason says why the gate refused, or why somebody is paused, denied or refused. The set is closed: it is a metric label
// and what the person sees.
type Reason string

// The reasons.
const (
	ReasonNone       Reason = ""
	ReasonUnknown    Reason = "no_consent"
	ReasonPending    Reason = "not_confirmed"
	ReasonRefused    Reason = "refused"
	ReasonWithdrawn  Reason = "withdrawn"
	ReasonErased     Reason = "erased"
	ReasonDenied     Reason = "denied_by_instance"
	ReasonSuspended  Reason = "suspended"
	ReasonMoved      Reason = "moved"
	ReasonScope      Reason = "scope_off"
	ReasonSignal     Reason = "signal"
	ReasonPolicy     Reason = "policy_newer_than_grant"
	ReasonExpired    Reason = "expired"
	ReasonHalted     Reason = "bridge_halted"
	ReasonPurpose    Reason = "no_such_purpose"
	ReasonNoContact  Reason = "not_in_contact"
	ReasonDoubt      Reason = "doubt"
	ReasonSelf       Reason = "self"
	ReasonPanic      Reason = "panic"
	ReasonExpiry     Reason = "expiry"
	ReasonInstance   Reason = "instance"
	ReasonOperator   Reason = "operator"
	ReasonAnomaly    Reason = "anomaly"
	ReasonDeleted    Reason = "account_deleted"
	ReasonTooMany    Reason = "too_many_invites"
	ReasonInvited    Reason = "invited_already"
	ReasonCode       Reason = "wrong_code"
	ReasonUninformed Reason = "evidence_not_informed"
	ReasonWait       Reason = "wait"
)

// Reasons lists all of them.
func Reasons() []Reason {
	return []Reason{ReasonUnknown, ReasonPending, ReasonRefused, ReasonWithdrawn, ReasonErased, ReasonDenied, ReasonSuspended,
		ReasonMoved, ReasonScope, ReasonSignal, ReasonPolicy, ReasonExpired, ReasonHalted, ReasonPurpose, ReasonNoContact,
		ReasonDoubt, ReasonSelf, ReasonPanic, ReasonExpiry, ReasonInstance, ReasonOperator, ReasonAnomaly, ReasonDeleted,
		ReasonTooMany, ReasonInvited, ReasonCode, ReasonUninformed, ReasonWait}
}

// ErrDenied is what every refusal of the gate and the desk is.
var ErrDenied = errors.New("consent denied")

// DeniedError is a refusal with its reason; errors.Is(err, ErrDenied) holds.
type DeniedError struct {
	Reason Reason
	// Err is the doubt, if it was one.
	Err error
}

func (e *DeniedError) Error() string {
	if e.Err != nil {
		return "consent denied (" + string(e.Reason) + "): " + e.Err.Error()
	}
	return "consent denied (" + string(e.Reason) + ")"
}

// Is makes every refusal an ErrDenied.
func (e *DeniedError) Is(target error) bool { return target == ErrDenied }

func (e *DeniedError) Unwrap() error { return e.Err }

func deny(r Reason) error { return &DeniedError{Reason: r} }

func doubt(err error) error { return &DeniedError{Reason: ReasonDoubt, Err: err} }

// ReasonOf is the reason in an error, ReasonDoubt for any other error, and ReasonNone for nil.
func ReasonOf(err error) Reason {
	var d *DeniedError
	switch {
	case err == nil:
		return ReasonNone
	case errors.As(err, &d):
		return d.Reason
	}
	return ReasonDoubt
}
