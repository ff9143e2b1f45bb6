(** The LP relaxation with memory alone, and its bound. *)

From Coq Require Import Arith Lia List Lqa QArith Qminmax ZArith.
From Aptsched Require Import Problem Duality.
Import ListNotations.
Open Scope Q_scope.

(** A fractional request: shares of its options, (share, option). In the LP, x_if is the share of option f. *)
Definition mixture := list (Q * nat).

Definition shares (m : mixture) : Q := fold_right Qplus 0 (map fst m).

(** The shares of some quantity of the options. *)
Definition average (of : form -> Q) (r : request) (m : mixture) : Q :=
  fold_right Qplus 0 (map (fun part => fst part * of (form_of r (snd part))) m).

(** Shares of at least 0 that add up to 1 (of option 0: what is not served). *)
Definition mixes (r : request) (m : mixture) : Prop :=
  Forall (fun part => 0 <= fst part /\ (snd part <= length r)%nat) m /\ shares m == 1.

Fixpoint total (of : form -> Q) (rs : list request) (ms : list mixture) : Q :=
  match rs, ms with
  | r :: rs, m :: ms => average of r m + total of rs ms
  | _, _ => 0
  end.

Definition lp_value := total value.
Definition lp_weight := total (fun f => q (weight f)).

Definition lp_feasible (capacity : nat) (rs : list request) (ms : list mixture) : Prop :=
  Forall2 mixes rs ms /\ lp_weight rs ms <= q capacity.

(** A selection as a solution of the LP. *)
Definition whole (s : selection) : list mixture := map (fun o => [(1, o)]) s.

(** A mixture of options that are all best at a price. *)
Definition best_parts (price : Q) (r : request) (m : mixture) : Prop :=
  Forall (fun part => reduced price (form_of r (snd part)) == best_reduced price r) m.

Lemma average_reduced price r m :
  average value r m == price * average (fun f => q (weight f)) r m + average (reduced price) r m.
Proof. unfold average, reduced. induction m as [ | [share o] m IH]; simpl in *; lra. Qed.

Lemma average_below price r m : mixes r m -> average (reduced price) r m <= best_reduced price r.
Proof.
  intros [parts all]. rewrite <- (Qmult_1_l (best_reduced price r)), <- all. clear all. unfold average, shares.
  induction parts as [ | [share o] m [nonneg _] _ IH]; simpl in *; [lra | ].
  pose proof (best_reduced_above price r (form_of r o) (form_of_in r o)). nra.
Qed.

Lemma average_best price r m : mixes r m -> best_parts price r m -> average (reduced price) r m == best_reduced price r.
Proof.
  intros [_ all] best. rewrite <- (Qmult_1_l (best_reduced price r)), <- all. clear all. unfold average, shares.
  induction best as [ | [share o] m this _ IH]; simpl in *; [lra | ]. rewrite IH, this. ring.
Qed.

(** Weak duality for the LP: at any price, the bound is at least the value of every fractional solution. *)
Theorem lp_weak_duality price capacity rs ms :
  0 <= price -> lp_feasible capacity rs ms -> lp_value rs ms <= bound price capacity rs.
Proof.
  intros nonneg [good fits]. unfold bound.
  assert (parts : lp_value rs ms <= price * lp_weight rs ms + fold_right Qplus 0 (map (best_reduced price) rs)).
  { clear fits. unfold lp_value, lp_weight. induction good as [ | r m rs ms one _ IH]; simpl; [lra | ].
    pose proof (average_reduced price r m). pose proof (average_below price r m one). lra. }
  nra.
Qed.

(** Complementary slackness: where only best options are mixed and the memory is full or free, the bound is reached. *)
Theorem lp_reaches_bound price capacity rs ms :
  Forall2 mixes rs ms -> Forall2 (best_parts price) rs ms -> price * lp_weight rs ms == price * q capacity ->
  lp_value rs ms == bound price capacity rs.
Proof.
  intros good best full. unfold bound. rewrite <- full. clear full. unfold lp_value, lp_weight. revert best.
  induction good as [ | r m rs ms one _ IH]; intros best;
    inversion_clear best as [ | ? ? ? ? best_m]; simpl; [lra | ].
  rewrite IH by easy. pose proof (average_reduced price r m). pose proof (average_best price r m one best_m). lra.
Qed.

(** Every selection is a solution of the LP, of the same value. *)
Lemma whole_feasible capacity rs s : feasible capacity rs s -> lp_feasible capacity rs (whole s).
Proof.
  intros [good fits]. split.
  - clear fits. induction good as [ | r o rs s in_range _ IH]; constructor; [ | easy].
    split; [ | reflexivity]. constructor; [ | easy]. split; [now compute | easy].
  - apply Qle_trans with (q (weight_of rs s)); [ | now apply q_le]. clear fits. unfold lp_weight.
    induction good as [ | r o rs s _ _ IH]; simpl; [easy | ]. rewrite q_plus. unfold average. simpl. lra.
Qed.

Lemma whole_value rs s : lp_value rs (whole s) == value_of rs s.
Proof.
  unfold lp_value. revert s. induction rs as [ | r rs IH]; intros [ | o s]; simpl; try reflexivity.
  rewrite IH. unfold average. simpl. ring.
Qed.

(** Theorem 5 with memory alone: at any price, the bound is at least the value of every selection. *)
Corollary weak_duality_memory price capacity rs s :
  0 <= price -> feasible capacity rs s -> value_of rs s <= bound price capacity rs.
Proof.
  intros nonneg good. rewrite <- whole_value. now apply lp_weak_duality, whole_feasible.
Qed.

(** ** The problem with memory alone is the one with shared limits, for d = 1. *)

Definition as_choice (f : form) : choice := Choice (fun _ => weight f) (value f).
Definition as_candidate (r : request) : candidate := Candidate false (map as_choice r).

Lemma as_choice_of r o :
  worth (choice_of (as_candidate r) o) = value (form_of r o) /\
  uses (choice_of (as_candidate r) o) = (fun _ => weight (form_of r o)).
Proof.
  assert (same : choice_of (as_candidate r) o = as_choice (form_of r o))
    by exact (map_nth as_choice (unserved :: r) unserved o).
  now rewrite same.
Qed.

(** The same selections are feasible, with the same values. *)
Theorem memory_is_one_limit capacity rs s :
  (feasible capacity rs s <-> admissible [capacity] (map as_candidate rs) s) /\
  worth_of (map as_candidate rs) s = value_of rs s.
Proof.
  assert (use : use_of (map as_candidate rs) s 0 = weight_of rs s).
  { revert s. induction rs as [ | r rs IH]; intros [ | o s]; simpl; trivial.
    now rewrite IH, (proj2 (as_choice_of r o)). }
  assert (good : Forall2 (fun r o => (o <= length r)%nat) rs s <-> Forall2 allowed (map as_candidate rs) s).
  { clear use. split; revert s; induction rs as [ | r rs IH]; intros s good;
      inversion_clear good as [ | ? ? ? ? one]; constructor; auto.
    - split; [ | easy]. simpl. now rewrite map_length.
    - destruct one as [in_range _]. simpl in in_range. now rewrite map_length in in_range. }
  split.
  - unfold feasible, admissible, within. rewrite good. split; intros [in_range fits]; split; trivial.
    + intros [ | j] less; simpl in *; [now rewrite use | lia].
    + rewrite <- use. apply (fits 0%nat). simpl. lia.
  - clear. revert s. induction rs as [ | r rs IH]; intros [ | o s]; simpl; trivial.
    now rewrite IH, (proj1 (as_choice_of r o)).
Qed.
