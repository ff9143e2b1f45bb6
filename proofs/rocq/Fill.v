(** Filling: requests move to better options that still fit, which never lowers the value and keeps the guarantee. *)

From Coq Require Import Arith Bool Lia List Lqa QArith Qminmax ZArith.
From Aptsched Require Import Problem Hull Greedy Guarantee LosesNothing.
Import ListNotations.
Open Scope Q_scope.

(** Move request i to option o if that option exists, the selection then fits, and it is worth no less. *)
Definition fill_move (rs : list request) (capacity : nat) (s : selection) (move : nat * nat) : selection :=
  let (i, o) := move in
  let moved := update i (fun _ => o) s in
  let in_range := match nth_error rs i with Some r => (o <=? length r)%nat | None => false end in
  if in_range && (weight_of rs moved <=? capacity)%nat && Qle_bool (value_of rs s) (value_of rs moved)
  then moved else s.

(** Moves one after another, whatever they are and in whatever order. *)
Definition fill (rs : list request) (capacity : nat) (moves : list (nat * nat)) (s : selection) : selection :=
  fold_left (fill_move rs capacity) moves s.

(** Replacing a request's option by another that fits keeps a selection feasible. *)
Lemma update_feasible rs capacity s i (r : request) o :
  feasible capacity rs s -> nth_error rs i = Some r -> (o <= length r)%nat ->
  (weight_of rs (update i (fun _ => o) s) <= capacity)%nat -> feasible capacity rs (update i (fun _ => o) s).
Proof. intros [good _] there in_range fits. split; [ | easy]. now apply Forall2_update with r. Qed.

Lemma fill_move_spec rs capacity s move :
  feasible capacity rs s ->
  feasible capacity rs (fill_move rs capacity s move) /\ value_of rs s <= value_of rs (fill_move rs capacity s move).
Proof.
  intros good. destruct move as [i o]. unfold fill_move.
  assert (stays : feasible capacity rs s /\ value_of rs s <= value_of rs s) by (split; [easy | apply Qle_refl]).
  destruct (nth_error rs i) as [r | ] eqn:there; [ | exact stays].
  destruct (Nat.leb_spec o (length r)) as [in_range | ]; [ | exact stays].
  destruct (Nat.leb_spec (weight_of rs (update i (fun _ => o) s)) capacity) as [fits | ]; [ | exact stays].
  destruct (Qle_bool (value_of rs s) (value_of rs (update i (fun _ => o) s))) eqn:more; [simpl | exact stays].
  split; [now apply update_feasible with r | now apply Qle_bool_iff].
Qed.

(** Filling never lowers the value, and what is filled stays feasible. *)
Theorem fill_never_lowers rs capacity moves s :
  feasible capacity rs s ->
  feasible capacity rs (fill rs capacity moves s) /\ value_of rs s <= value_of rs (fill rs capacity moves s).
Proof.
  unfold fill. revert s.
  induction moves as [ | move moves IH]; intros s good; simpl; [split; [easy | apply Qle_refl] | ].
  destruct (fill_move_spec rs capacity s move good) as [good' more]. destruct (IH _ good') as [good'' more'].
  split; [easy | lra].
Qed.

(** So the greedy, filled in any way, is still worth at least half of the optimum. *)
Corollary filled_greedy_half_of_optimum rs capacity moves s :
  feasible capacity rs s -> value_of rs s <= 2 * value_of rs (fill rs capacity moves (greedy rs capacity)).
Proof.
  intros good. pose proof (greedy_half_of_optimum rs capacity s good).
  destruct (fill_never_lowers rs capacity moves _ (greedy_feasible rs capacity)). lra.
Qed.
