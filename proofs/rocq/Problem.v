(** The batch-composition problem with memory as its only limit: n requests, any number of forms, whole blocks. *)

From Coq Require Import Arith Lia List Lqa QArith Qminmax ZArith.
Import ListNotations.
Open Scope Q_scope.

(** A form of cache: the whole blocks that it needs, and what it is worth, in seconds. *)
Record form := Form { weight : nat; value : Q }.

(** A request is the list of its forms. *)
Definition request := list form.

(** Not to be served needs nothing and is worth nothing. *)
Definition unserved := Form 0 0.

(** Option 0 of a request is not to be served, option f its f-th form. *)
Definition form_of (r : request) (o : nat) : form := nth o (unserved :: r) unserved.

(** One option for each request. *)
Definition selection := list nat.

Definition q (n : nat) : Q := inject_Z (Z.of_nat n).

Fixpoint weight_of (rs : list request) (s : selection) : nat :=
  match rs, s with
  | r :: rs, o :: s => weight (form_of r o) + weight_of rs s
  | _, _ => 0
  end.

Fixpoint value_of (rs : list request) (s : selection) : Q :=
  match rs, s with
  | r :: rs, o :: s => value (form_of r o) + value_of rs s
  | _, _ => 0
  end.

(** One option in range for each request, and all together within the capacity. *)
Definition feasible (capacity : nat) (rs : list request) (s : selection) : Prop :=
  Forall2 (fun r o => (o <= length r)%nat) rs s /\ (weight_of rs s <= capacity)%nat.

(** What is left of a form's value once its blocks are paid for, at a price per block. *)
Definition reduced (price : Q) (f : form) : Q := value f - price * q (weight f).

Definition best_reduced (price : Q) (r : request) : Q := fold_right Qmax 0 (map (reduced price) r).

(** The Lagrangian bound: price * capacity + sum_i max(0, max_f value - price * weight). *)
Definition bound (price : Q) (capacity : nat) (rs : list request) : Q :=
  price * q capacity + fold_right Qplus 0 (map (best_reduced price) rs).

(** The requests without the forms that do not fit alone; options keep their numbers. *)
Definition offer (capacity : nat) (f : form) : form := if (weight f <=? capacity)%nat then f else unserved.
Definition fitting (capacity : nat) (rs : list request) : list request := map (map (offer capacity)) rs.

(** ** Facts about these definitions *)

Lemma same_length {A B} (R : A -> B -> Prop) xs ys : Forall2 R xs ys -> length ys = length xs.
Proof. induction 1; simpl; congruence. Qed.

Lemma q_plus a b : q (a + b) == q a + q b.
Proof. unfold q. rewrite Nat2Z.inj_add, inject_Z_plus. reflexivity. Qed.

Lemma q_le a b : (a <= b)%nat -> q a <= q b.
Proof. unfold q. rewrite <- Zle_Qle. lia. Qed.

Lemma q_lt a b : (a < b)%nat -> q a < q b.
Proof. unfold q. rewrite <- Zlt_Qlt. lia. Qed.

Lemma q_nonneg a : 0 <= q a.
Proof. apply (q_le 0). lia. Qed.

Lemma q_pos a : (0 < a)%nat -> 0 < q a.
Proof. exact (q_lt 0 a). Qed.

Lemma reduced_unserved price : reduced price unserved == 0.
Proof. unfold reduced, q. simpl. ring. Qed.

Lemma form_of_in r o : In (form_of r o) (unserved :: r).
Proof.
  unfold form_of. destruct (Nat.lt_ge_cases o (length (unserved :: r))) as [inside | beyond].
  - now apply nth_In.
  - rewrite nth_overflow by easy. now left.
Qed.

Lemma best_reduced_nonneg price r : 0 <= best_reduced price r.
Proof.
  unfold best_reduced. induction r as [ | f r IH]; simpl; [lra | ].
  pose proof (Q.le_max_r (reduced price f) (fold_right Qmax 0 (map (reduced price) r))). lra.
Qed.

(** No option is worth more than the best one. *)
Lemma best_reduced_above price r f : In f (unserved :: r) -> reduced price f <= best_reduced price r.
Proof.
  intros [<- | inside].
  - rewrite reduced_unserved. apply best_reduced_nonneg.
  - unfold best_reduced. induction r as [ | g r IH]; simpl in *; [easy | ].
    pose proof (Q.le_max_l (reduced price g) (fold_right Qmax 0 (map (reduced price) r))).
    pose proof (Q.le_max_r (reduced price g) (fold_right Qmax 0 (map (reduced price) r))).
    destruct inside as [<- | inside]; [easy | ]. specialize (IH inside). lra.
Qed.

(** An option that none beats is the best one. *)
Lemma best_reduced_is price r o :
  (forall f, In f (unserved :: r) -> reduced price f <= reduced price (form_of r o)) ->
  best_reduced price r == reduced price (form_of r o).
Proof.
  intros top. apply Qle_antisym.
  - assert (least : 0 <= reduced price (form_of r o)).
    { rewrite <- (reduced_unserved price). apply top. now left. }
    assert (all : forall f, In f r -> reduced price f <= reduced price (form_of r o)).
    { intros f inside. apply top. now right. }
    clear top. unfold best_reduced. revert least all. generalize (reduced price (form_of r o)). intros top least all.
    induction r as [ | f r IH]; simpl; [easy | ].
    apply Q.max_lub; [apply all; now left | apply IH; intros g inside; apply all; now right].
  - apply best_reduced_above, form_of_in.
Qed.

Lemma offer_or_not capacity r o :
  form_of (map (offer capacity) r) o = form_of r o /\ (weight (form_of r o) <= capacity)%nat \/
  form_of (map (offer capacity) r) o = unserved.
Proof.
  destruct o as [ | o]; [left; split; [easy | apply Nat.le_0_l] | ].
  assert (same : form_of (map (offer capacity) r) (S o) = offer capacity (form_of r (S o)))
    by exact (map_nth _ r unserved o).
  rewrite same. unfold offer. destruct (Nat.leb_spec (weight (form_of r (S o))) capacity); auto.
Qed.
