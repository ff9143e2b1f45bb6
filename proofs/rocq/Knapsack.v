(** The 0-1 knapsack is the case of one form for each request, so that the problem is at least as hard. *)

From Coq Require Import Arith Lia List Lqa QArith Qminmax ZArith.
From Aptsched Require Import Problem.
Import ListNotations.
Open Scope Q_scope.

(** Items have a size and a profit; a packing says of each whether it is in. *)
Fixpoint size_of (items : list form) (packing : list bool) : nat :=
  match items, packing with
  | f :: items, b :: packing => (if b then weight f else 0) + size_of items packing
  | _, _ => 0
  end.

Fixpoint profit_of (items : list form) (packing : list bool) : Q :=
  match items, packing with
  | f :: items, b :: packing => (if b then value f else 0) + profit_of items packing
  | _, _ => 0
  end.

Definition packs (capacity : nat) (items : list form) (packing : list bool) : Prop :=
  length packing = length items /\ (size_of items packing <= capacity)%nat.

(** Each item becomes a request with one form; each packing a selection, and the other way round. *)
Definition requests_of (items : list form) : list request := map (fun f => [f]) items.
Definition selection_of (packing : list bool) : selection := map Nat.b2n packing.

Lemma selection_of_spec capacity items packing :
  (feasible capacity (requests_of items) (selection_of packing) <-> packs capacity items packing) /\
  value_of (requests_of items) (selection_of packing) = profit_of items packing.
Proof.
  assert (sizes : weight_of (requests_of items) (selection_of packing) = size_of items packing).
  { revert packing. induction items as [ | f items IH]; intros [ | [ | ] packing]; simpl; auto. }
  split.
  - unfold feasible, packs. rewrite sizes.
    enough (same : Forall2 (fun r o => (o <= length r)%nat) (requests_of items) (selection_of packing) <->
                   length packing = length items) by (rewrite same; tauto).
    clear sizes. revert packing. induction items as [ | f items IH]; intros [ | b packing]; simpl; split; intros good;
      try easy; try constructor; try (inversion_clear good as [ | ? ? ? ? _ rest]; apply IH in rest; congruence).
    + destruct b; simpl; lia.
    + apply IH. now injection good.
  - clear sizes. revert packing.
    induction items as [ | f items IH]; intros [ | [ | ] packing]; simpl; trivial; now rewrite IH.
Qed.

Lemma every_selection capacity items s :
  feasible capacity (requests_of items) s -> exists packing, s = selection_of packing.
Proof.
  intros [good _]. revert s good.
  induction items as [ | f items IH]; intros s good; inversion_clear good as [ | ? o ? s' in_range rest].
  - now exists [].
  - destruct (IH _ rest) as (packing & ->). destruct o as [ | [ | o]]; simpl in in_range; [ | | lia].
    + now exists (false :: packing).
    + now exists (true :: packing).
Qed.

(** Theorem 8, the reduction: some packing has at least a given profit if and only if some selection has that value. *)
Theorem knapsack_reduces capacity items goal :
  (exists packing, packs capacity items packing /\ goal <= profit_of items packing) <->
  (exists s, feasible capacity (requests_of items) s /\ goal <= value_of (requests_of items) s).
Proof.
  split.
  - intros (packing & good & enough). destruct (selection_of_spec capacity items packing) as [same values].
    exists (selection_of packing). rewrite values. split; [now apply same | easy].
  - intros (s & good & enough). destruct (every_selection _ _ _ good) as (packing & ->).
    destruct (selection_of_spec capacity items packing) as [same values]. rewrite values in enough.
    exists packing. split; [now apply same | easy].
Qed.
