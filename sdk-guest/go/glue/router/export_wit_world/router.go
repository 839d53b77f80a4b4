package export_wit_world

import (
	"errors"

	plugin "{{plugin}}"

	witTypes "go.bytecodealliance.org/pkg/wit/types"
	"portcullis"
	routing "portcullis/bindings/portcullis_plugin_routing"
	wit "portcullis/bindings/portcullis_plugin_types"
)

var configured portcullis.Router

// Configure is the contract's configure.
func Configure(config string) witTypes.Result[witTypes.Unit, string] {
	return configure(plugin.Configure, config, &configured)
}

// Route is the contract's route.
func Route(call wit.Call, findings []wit.AttributedFinding, why []wit.Reason) witTypes.Result[routing.Plan, string] {
	return guarded(false, func() (routing.Plan, error) {
		if configured == nil {
			return routing.Plan{}, errUnconfigured
		}
		given := make([]portcullis.Reason, len(why))
		for index, reason := range why {
			given[index] = portcullis.Reason{Code: reason.Code, Message: reason.Message}
		}
		made, err := configured.Route(givenCall(call), payload{}, givenFindings(findings), given)
		if err != nil {
			return routing.Plan{}, err
		}
		return plan(made)
	})
}

func plan(made portcullis.Plan) (routing.Plan, error) {
	who, err := approvers(made.Approvers)
	steps := make([]routing.Step, len(made.Escalation))
	for index, step := range made.Escalation {
		also, problem := approvers(step.Approvers)
		err = errors.Join(err, problem)
		steps[index] = routing.Step{AfterSeconds: step.AfterSeconds, Approvers: also, Channels: cleanAll(step.Channels)}
	}
	return routing.Plan{
		Approvers:       who,
		Quorum:          made.Quorum,
		DeadlineSeconds: made.DeadlineSeconds,
		Channels:        cleanAll(made.Channels),
		Escalation:      steps,
		Summary:         clean(made.Summary),
		MayModify:       made.MayModify,
	}, err
}

func approvers(given []portcullis.Approver) ([]routing.Approver, error) {
	made := make([]routing.Approver, len(given))
	for index, one := range given {
		switch {
		case one.Role != "" && one.Operator == "":
			made[index] = routing.MakeApproverRole(clean(one.Role))
		case one.Operator != "" && one.Role == "":
			made[index] = routing.MakeApproverOperator(clean(one.Operator))
		default:
			return nil, errors.New("an approver is a role or an operator")
		}
	}
	return made, nil
}
