// Package plugin is a router: one approver decides, or two if the amount is large.
package plugin

import (
	"errors"
	"fmt"
	"strings"

	"portcullis"
)

type desk struct {
	approvers, large []portcullis.Approver
	deadlineSeconds  uint32
	escalation       []portcullis.Step
}

// Configure runs once per configuration; what it makes is there in every call.
func Configure(text string) (portcullis.Router, error) {
	config, err := portcullis.ReadConfig(text, "approvers", "large", "deadline_seconds", "escalate_to")
	if err != nil {
		return nil, err
	}
	approvers, ok := config.Texts("approvers")
	if !ok || len(approvers) == 0 {
		return nil, errors.New("approvers: give a list of at least one role")
	}
	plugin := desk{approvers: roles(approvers), large: roles(approvers), deadlineSeconds: 900}
	if config.Has("large") {
		large, ok := config.Texts("large")
		if !ok || len(large) == 0 {
			return nil, errors.New("large: give a list of at least one role")
		}
		plugin.large = roles(large)
	}
	if config.Has("deadline_seconds") {
		if plugin.deadlineSeconds, ok = config.Whole("deadline_seconds"); !ok || plugin.deadlineSeconds < 1 {
			return nil, errors.New("deadline_seconds: use a whole number of at least 1")
		}
	}
	if config.Has("escalate_to") {
		role, ok := config.Text("escalate_to")
		if !ok {
			return nil, errors.New("escalate_to: give a role")
		}
		half := max(plugin.deadlineSeconds/2, 1)
		plugin.escalation = []portcullis.Step{{AfterSeconds: half, Approvers: roles([]string{role})}}
	}
	return plugin, nil
}

func roles(names []string) []portcullis.Approver {
	var approvers []portcullis.Approver
	for _, name := range names {
		approvers = append(approvers, portcullis.Role(name))
	}
	return approvers
}

// Route runs once per parked call. Nothing that it changes is seen by the next call.
func (plugin desk) Route(
	call portcullis.Call, payload portcullis.Payload, findings []portcullis.AttributedFinding, reasons []portcullis.Reason,
) (portcullis.Plan, error) {
	plan := portcullis.Plan{
		Approvers:       plugin.approvers,
		Quorum:          1,
		DeadlineSeconds: plugin.deadlineSeconds,
		Escalation:      plugin.escalation,
		Summary:         call.Agent + " wants " + call.Tool,
		MayModify:       true,
	}
	var codes []string
	for _, reason := range reasons {
		codes = append(codes, reason.Code)
		if reason.Code == "large_amount" {
			plan.Approvers, plan.Quorum, plan.MayModify = plugin.large, 2, false
		}
	}
	if len(codes) > 0 {
		plan.Summary += ": " + strings.Join(codes, ", ")
	}
	if len(findings) > 0 {
		plan.Summary += fmt.Sprintf(" (%d findings)", len(findings))
	}
	return plan, nil
}
