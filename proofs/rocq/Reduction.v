(** Reduction by bounds: options that no selection better than the incumbent uses. *)

From Coq Require Import Arith Lia List Lqa QArith Qminmax ZArith.
From Aptsched Require Import Problem Duality.
Import ListNotations.
Open Scope Q_scope.

(** An option is discarded where the bound less its loss does not exceed the incumbent's value. *)
Definition discarded (limits : list nat) (prices : list Q) (cs : list candidate) (incumbent : Q)
  (c : candidate) (o : nat) : bool :=
  Qle_bool (dual_bound limits prices cs - loss limits prices c o) incumbent.

(** A selection of which no option is discarded. *)
Definition survives (limits : list nat) (prices : list Q) (cs : list candidate) (incumbent : Q)
  (s : selection) : Prop :=
  Forall2 (fun c o => discarded limits prices cs incumbent c o = false) cs s.

(** A selection with a given option is worth no more than the bound less what that option loses. *)
Theorem bound_with_option limits prices cs s i c o :
  length prices = length limits -> Forall (Qle 0) prices -> admissible limits cs s ->
  nth_error cs i = Some c -> nth_error s i = Some o ->
  worth_of cs s <= dual_bound limits prices cs - loss limits prices c o.
Proof.
  intros same nonneg good at_c at_o. pose proof (duality_with_losses limits prices cs s same nonneg good) as less.
  destruct good as [good fits]. assert (lost : loss limits prices c o <= losses limits prices cs s).
  { pose proof (losses_nonneg limits prices cs s _ good fits (fun j => Nat.le_refl _)) as each.
    assert (some : 0 <= losses limits prices cs s /\ loss limits prices c o <= losses limits prices cs s); [ | easy].
    clear - each at_c at_o. revert i at_c at_o.
    induction each as [ | d p cs s one each IH]; intros [ | i] at_c at_o; simpl in *; try easy.
    - injection at_c as ->. injection at_o as ->.
      assert (rest : 0 <= losses limits prices cs s); [ | split; lra].
      clear - each. induction each as [ | c o cs s one _ IH]; simpl; lra.
    - destruct (IH i at_c at_o). split; lra. }
  lra.
Qed.

(** Theorem 6: a selection that is worth more than the incumbent has no discarded option. *)
Theorem reduction_keeps_better limits prices cs incumbent s :
  length prices = length limits -> Forall (Qle 0) prices -> admissible limits cs s ->
  incumbent < worth_of cs s -> survives limits prices cs incumbent s.
Proof.
  intros same nonneg good better.
  assert (each : forall i c o, nth_error cs i = Some c -> nth_error s i = Some o ->
                 discarded limits prices cs incumbent c o = false).
  { intros i c o at_c at_o. unfold discarded. apply not_true_iff_false. rewrite Qle_bool_iff.
    pose proof (bound_with_option limits prices cs s i c o same nonneg good at_c at_o). lra. }
  unfold survives. pose proof (same_length _ _ _ (proj1 good)) as lengths.
  revert each. generalize (discarded limits prices cs incumbent) as gone. clear - lengths. intros gone each.
  revert s lengths each. induction cs as [ | c cs IH]; intros [ | o s] lengths each; try easy; constructor.
  - now apply (each 0%nat).
  - apply IH; [now injection lengths | ]. intros i. apply (each (S i)).
Qed.

(** So the optimum of what is left, or the incumbent if that is worth more, is the optimum. *)
Corollary reduction_keeps_optimum limits prices cs incumbent t :
  length prices = length limits -> Forall (Qle 0) prices ->
  (forall s, admissible limits cs s -> survives limits prices cs incumbent s -> worth_of cs s <= worth_of cs t) ->
  forall s, admissible limits cs s -> worth_of cs s <= Qmax incumbent (worth_of cs t).
Proof.
  intros same nonneg top s good. destruct (Qlt_le_dec incumbent (worth_of cs s)) as [better | no_better].
  - apply Qle_trans with (worth_of cs t); [ | apply Q.le_max_r].
    apply top; [easy | ]. now apply reduction_keeps_better.
  - apply Qle_trans with incumbent; [easy | apply Q.le_max_l].
Qed.
