(** Weak duality with d shared limits (blocks, tokens, sequences, or any others) and required requests. *)

From Coq Require Import Arith Lia List Lqa QArith Qminmax ZArith.
From Aptsched Require Import Problem.
Import ListNotations.
Open Scope Q_scope.

(** An option of a request: what it uses of resource 0, 1, ..., d - 1, and what it is worth. *)
Record choice := Choice { uses : nat -> nat; worth : Q }.

(** A required request must be served. *)
Record candidate := Candidate { required : bool; choices : list choice }.

Definition nothing := Choice (fun _ => 0%nat) 0.

(** Option 0 is not to be served, option f the f-th choice. *)
Definition choice_of (c : candidate) (o : nat) : choice := nth o (nothing :: choices c) nothing.

Fixpoint worth_of (cs : list candidate) (s : selection) : Q :=
  match cs, s with
  | c :: cs, o :: s => worth (choice_of c o) + worth_of cs s
  | _, _ => 0
  end.

Fixpoint use_of (cs : list candidate) (s : selection) (resource : nat) : nat :=
  match cs, s with
  | c :: cs, o :: s => uses (choice_of c o) resource + use_of cs s resource
  | _, _ => 0
  end.

(** An option in range, and not 0 for a required request. *)
Definition allowed (c : candidate) (o : nat) : Prop :=
  (o <= length (choices c))%nat /\ (required c = true -> o <> 0%nat).

Definition within (limits : list nat) (use : nat -> nat) : Prop :=
  forall j, (j < length limits)%nat -> (use j <= nth j limits 0)%nat.

(** Every request has an allowed option, and what they use together is within each limit. *)
Definition admissible (limits : list nat) (cs : list candidate) (s : selection) : Prop :=
  Forall2 allowed cs s /\ within limits (use_of cs s).

(** What the amounts cost at prices of resource j, j + 1, ... *)
Fixpoint cost (prices : list Q) (j : nat) (use : nat -> nat) : Q :=
  match prices with
  | [] => 0
  | price :: prices => price * q (use j) + cost prices (S j) use
  end.

Definition left_over (prices : list Q) (x : choice) : Q := worth x - cost prices 0 (uses x).

Definition fits_alone (limits : list nat) (x : choice) : bool :=
  forallb (fun j => uses x j <=? nth j limits 0)%nat (seq 0 (length limits)).

(** The options that count in the bound: choices that fit alone and, if the request is not required, none. *)
Definition options (limits : list nat) (c : candidate) : list choice :=
  (if required c then [] else [nothing]) ++ filter (fits_alone limits) (choices c).

Definition largest (xs : list Q) : Q :=
  match xs with
  | [] => 0
  | x :: xs => fold_right Qmax x xs
  end.

(** max_f (worth - prices . uses), and at least 0 if the request is not required. *)
Definition best (limits : list nat) (prices : list Q) (c : candidate) : Q :=
  largest (map (left_over prices) (options limits c)).

(** The Lagrangian bound: prices . limits + sum_i best_i. *)
Definition dual_bound (limits : list nat) (prices : list Q) (cs : list candidate) : Q :=
  cost prices 0 (fun j => nth j limits 0%nat) + fold_right Qplus 0 (map (best limits prices) cs).

(** What a selection loses, request by request, against the best option at these prices. *)
Definition loss (limits : list nat) (prices : list Q) (c : candidate) (o : nat) : Q :=
  best limits prices c - left_over prices (choice_of c o).

Fixpoint losses (limits : list nat) (prices : list Q) (cs : list candidate) (s : selection) : Q :=
  match cs, s with
  | c :: cs, o :: s => loss limits prices c o + losses limits prices cs s
  | _, _ => 0
  end.

(** ** Proof *)

Lemma largest_above xs x : In x xs -> x <= largest xs.
Proof.
  destruct xs as [ | y xs]; simpl; [easy | ].
  assert (above : forall z, In z xs \/ z = y -> z <= fold_right Qmax y xs).
  { induction xs as [ | z xs IH]; intros w [inside | ->]; simpl in *; try easy; try apply Qle_refl.
    - destruct inside as [<- | inside]; [apply Q.le_max_l | ].
      apply Qle_trans with (fold_right Qmax y xs); [apply IH; now left | apply Q.le_max_r].
    - apply Qle_trans with (fold_right Qmax y xs); [apply IH; now right | apply Q.le_max_r]. }
  intros [-> | inside]; apply above; auto.
Qed.

Lemma cost_plus prices j u v : cost prices j (fun r => u r + v r)%nat == cost prices j u + cost prices j v.
Proof. revert j. induction prices as [ | price prices IH]; intros j; simpl; [lra | ]. rewrite IH, q_plus. lra. Qed.

Lemma cost_of_nothing prices j : cost prices j (fun _ => 0%nat) == 0.
Proof.
  revert j. induction prices as [ | price prices IH]; intros j; simpl; [lra | ]. rewrite IH. unfold q. simpl. ring.
Qed.

Lemma cost_le prices j u v :
  Forall (Qle 0) prices ->
  (forall i, (j <= i < j + length prices)%nat -> (u i <= v i)%nat) -> cost prices j u <= cost prices j v.
Proof.
  intros nonneg. revert j. induction nonneg as [ | price prices price_nonneg _ IH]; intros j less; simpl in *; [lra | ].
  assert (here : q (u j) <= q (v j)) by (apply q_le, less; lia).
  assert (after : cost prices (S j) u <= cost prices (S j) v) by (apply IH; intros i range; apply less; lia).
  nra.
Qed.

(** A selection within the limits only uses choices that fit alone. *)
Lemma chosen_fits limits c o use :
  allowed c o -> within limits use -> (forall j, (uses (choice_of c o) j <= use j)%nat) ->
  In (choice_of c o) (options limits c).
Proof.
  intros [in_range served] fits part. unfold options. apply in_or_app. destruct o as [ | o].
  - left. destruct (required c); [ | now left]. now elim (served eq_refl).
  - right. apply filter_In. split; [exact (nth_In (choices c) nothing in_range) | ].
    apply forallb_forall. intros j j_in. apply in_seq in j_in. apply Nat.leb_le.
    specialize (fits j). specialize (part j). lia.
Qed.

(** No request loses less than nothing. *)
Lemma loss_nonneg limits prices c o : In (choice_of c o) (options limits c) -> 0 <= loss limits prices c o.
Proof.
  intros inside. unfold loss, best.
  pose proof (largest_above (map (left_over prices) (options limits c)) _ (in_map _ _ _ inside)). lra.
Qed.

Lemma losses_nonneg limits prices cs s whole :
  Forall2 allowed cs s -> within limits whole -> (forall j, (use_of cs s j <= whole j)%nat) ->
  Forall2 (fun c o => 0 <= loss limits prices c o) cs s.
Proof.
  intros good fits. induction good as [ | c o cs s allowed_o good IH]; intros part; constructor; simpl in part.
  - apply loss_nonneg, chosen_fits with whole; trivial. intros j. specialize (part j). lia.
  - apply IH. intros j. specialize (part j). lia.
Qed.

(** What a selection is worth: what it uses at these prices, and each request's best, less what it loses. *)
Lemma worth_from_losses limits prices cs s :
  length s = length cs ->
  worth_of cs s ==
  cost prices 0 (use_of cs s) + fold_right Qplus 0 (map (best limits prices) cs) - losses limits prices cs s.
Proof.
  revert s. induction cs as [ | c cs IH]; intros [ | o s] same; simpl in *; try easy.
  - rewrite cost_of_nothing. lra.
  - rewrite cost_plus, (IH s) by congruence. unfold loss, left_over. lra.
Qed.

(** Weak duality with what is lost: a selection is worth no more than the bound less all losses of its options. *)
Theorem duality_with_losses limits prices cs s :
  length prices = length limits -> Forall (Qle 0) prices -> admissible limits cs s ->
  worth_of cs s <= dual_bound limits prices cs - losses limits prices cs s.
Proof.
  intros same nonneg [good fits]. rewrite (worth_from_losses limits prices cs s (same_length _ _ _ good)).
  unfold dual_bound. assert (paid : cost prices 0 (use_of cs s) <= cost prices 0 (fun j => nth j limits 0%nat)).
  { apply cost_le; trivial. intros j range. apply fits. lia. }
  lra.
Qed.

(** Theorem 5, weak duality: whatever the prices, no selection is worth more than their bound. *)
Theorem weak_duality limits prices cs s :
  length prices = length limits -> Forall (Qle 0) prices -> admissible limits cs s ->
  worth_of cs s <= dual_bound limits prices cs.
Proof.
  intros same nonneg good. pose proof (duality_with_losses limits prices cs s same nonneg good) as less.
  destruct good as [good fits]. assert (nothing_less : 0 <= losses limits prices cs s).
  { pose proof (losses_nonneg limits prices cs s _ good fits (fun j => Nat.le_refl _)) as each.
    clear - each. induction each as [ | c o cs s one _ IH]; simpl; lra. }
  lra.
Qed.
