(** The factor 2 is tight: a family of instances on which the optimum comes as near to twice the greedy as one likes. *)

From Coq Require Import Arith Bool Lia List Lqa QArith Qminmax ZArith.
From Aptsched Require Import Problem Hull Greedy Guarantee.
Import ListNotations.
Open Scope Q_scope.

(** One request of one block, worth 2, and two of m blocks, worth m each, for 2 m blocks. *)
Definition family (m : nat) : list request := [[Form 1 2]; [Form m (q m)]; [Form m (q m)]].
Definition family_capacity (m : nat) : nat := (2 * m)%nat.

(** Its optimum serves the two large ones. *)
Definition family_best : selection := [0; 1; 1]%nat.

Lemma family_best_feasible m : feasible (family_capacity m) (family m) family_best.
Proof.
  split; [repeat (apply Forall2_cons; [simpl; lia | ]); apply Forall2_nil | ].
  cbn [weight_of family family_best form_of nth weight unserved]; unfold family_capacity. lia.
Qed.

Lemma family_best_value m : value_of (family m) family_best == 2 * q m.
Proof. cbn [value_of family family_best form_of nth value unserved]. ring. Qed.

Lemma greedy_is_one_of_two rs capacity :
  greedy rs capacity = map here (places capacity rs) \/ exists i o, greedy rs capacity = alone (length rs) i o.
Proof.
  unfold greedy. destruct (first_step (places capacity rs)) as [[i s] | ]; [ | now left].
  destruct (above _ _); [right; eauto | now left].
Qed.

Lemma single_form f o : form_of [f] o = f \/ form_of [f] o = unserved.
Proof. destruct o as [ | [ | [ | o]]]; simpl; auto. Qed.

Lemma fitting_family m : (1 <= m)%nat -> fitting (family_capacity m) (family m) = family m.
Proof.
  intros some. unfold fitting, family, family_capacity, offer. cbn [map weight].
  rewrite (proj2 (Nat.leb_le 1 (2 * m))) by lia. now rewrite (proj2 (Nat.leb_le m (2 * m))) by lia.
Qed.

(** The greedy serves the small request first, and then has room for one large one only. *)
Lemma family_greedy_value m :
  (1 <= m)%nat -> value_of (family m) (greedy (family m) (family_capacity m)) <= q m + 2.
Proof.
  intros some. pose proof (q_le 1 m some) as large. change (q 1) with 1 in large.
  destruct (greedy_is_one_of_two (family m) (family_capacity m)) as [-> | (i & o & ->)].
  2: { unfold family, alone. cbn [length repeat]. generalize dependent (q m). intros x large.
       destruct i as [ | [ | [ | i]]]; cbn [update value_of]; change (value (form_of _ 0)) with 0;
         try (destruct (single_form (Form 1 2) o) as [-> | ->]); try (destruct (single_form (Form m x) o) as [-> | ->]);
         cbn [value unserved]; lra. }
  destruct (places_spec (family_capacity m) (family m)) as (holds & _ & same & within & _).
  rewrite (fitting_family m some) in same. revert holds same within. unfold invariant, total_weight.
  generalize (places (family_capacity m) (family m)) as ps. intros ps holds same within. rewrite same in within.
  generalize dependent (price_of ps). intros price holds.
  destruct ps as [ | p1 [ | p2 [ | p3 [ | ? ?]]]]; try discriminate same.
  inversion_clear holds as [ | ? ? [_ top1] rest]. inversion_clear rest as [ | ? ? [_ top2] rest'].
  inversion_clear rest' as [ | ? ? [_ top3] _].
  cbn [map] in *. injection same as same1 same2 same3.
  rewrite same1 in top1. rewrite same2 in top2. rewrite same3 in top3.
  unfold family, family_capacity in *. cbn [weight_of value_of] in *.
  specialize (top1 (Form 1 2) (or_intror (or_introl eq_refl))). specialize (top2 unserved (or_introl eq_refl)).
  clear top3 same1 same2 same3. unfold reduced in *. cbn [weight value unserved] in *.
  destruct (single_form (Form 1 2) (here p1)) as [eq1 | eq1]; rewrite eq1 in *;
  destruct (single_form (Form m (q m)) (here p2)) as [eq2 | eq2]; rewrite eq2 in *;
  destruct (single_form (Form m (q m)) (here p3)) as [eq3 | eq3]; rewrite eq3 in *;
  cbn [weight value unserved] in *; change (q 1) with 1 in *; change (q 0) with 0 in *; try lra; try lia.
  nra.
Qed.

(** Theorem 3, tightness: for every m >= 1, the optimum is at least 2 - 4 / (m + 2) times the greedy's value. *)
Theorem factor_two_is_tight m :
  (1 <= m)%nat ->
  feasible (family_capacity m) (family m) family_best /\
  0 < value_of (family m) (greedy (family m) (family_capacity m)) /\
  (2 - 4 / (q m + 2)) * value_of (family m) (greedy (family m) (family_capacity m)) <= value_of (family m) family_best.
Proof.
  intros some. pose proof (q_pos m some) as positive. pose proof (family_greedy_value m some) as least.
  pose proof (greedy_half_of_optimum _ _ _ (family_best_feasible m)) as half. rewrite family_best_value in half |- *.
  split; [apply family_best_feasible | split; [lra | ]].
  assert (ratio : (2 - 4 / (q m + 2)) * (q m + 2) == 2 * q m) by (field; lra).
  rewrite <- ratio. rewrite !(Qmult_comm (2 - 4 / (q m + 2))). apply Qmult_le_compat_r; [easy | ].
  setoid_replace (2 - 4 / (q m + 2)) with (2 * q m / (q m + 2)) by (field; lra).
  apply Qle_shift_div_l; lra.
Qed.

(** The same for every eps > 0: some instance has an optimum of at least 2 - eps times the greedy's value. *)
Corollary no_smaller_factor eps :
  0 < eps ->
  exists rs capacity s, feasible capacity rs s /\ 0 < value_of rs (greedy rs capacity) /\
  (2 - eps) * value_of rs (greedy rs capacity) <= value_of rs s.
Proof.
  intros positive. set (m := (4 * Pos.to_nat (Qden eps))%nat). exists (family m), (family_capacity m), family_best.
  destruct (factor_two_is_tight m ltac:(unfold m; lia)) as (good & value_positive & near).
  split; [easy | split; [easy | ]]. apply Qle_trans with (2 := near). apply Qmult_le_compat_r; [ | lra].
  enough (small : 4 / (q m + 2) <= eps) by lra. pose proof (q_pos m ltac:(unfold m; lia)).
  apply Qle_shift_div_r; [lra | ]. assert (large : 4 <= eps * q m); [ | nra].
  unfold m, q. rewrite Nat2Z.inj_mul, positive_nat_Z. unfold Qlt, Qle, inject_Z, Qmult in *. simpl in *. nia.
Qed.

(** Three of them, by computation: the greedy's 6 against 8, 10 against 16, 102 against 200. *)
Example family_4 : value_of (family 4) (greedy (family 4) 8) == 6. Proof. vm_compute. reflexivity. Qed.
Example family_8 : value_of (family 8) (greedy (family 8) 16) == 10. Proof. vm_compute. reflexivity. Qed.
Example family_100 : value_of (family 100) (greedy (family 100) 200) == 102. Proof. vm_compute. reflexivity. Qed.
