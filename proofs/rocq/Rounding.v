(** Several limits: an LP solution with at most d fractional requests, rounded down, against its best single request. *)

From Coq Require Import Arith Lia List Lqa QArith Qminmax ZArith.
From Aptsched Require Import Problem Duality Relaxation.
Import ListNotations.
Open Scope Q_scope.

(** What a fractional solution is worth. *)
Definition mixed_worth (c : candidate) (m : mixture) : Q :=
  fold_right Qplus 0 (map (fun part => fst part * worth (choice_of c (snd part))) m).

Fixpoint lp_worth (cs : list candidate) (ms : list mixture) : Q :=
  match cs, ms with
  | c :: cs, m :: ms => mixed_worth c m + lp_worth cs ms
  | _, _ => 0
  end.

(** [rounds top cs ms s d]: the solution [ms] has d fractional requests, which only mix options worth at most [top];
    the selection [s] agrees with it on all others, and has options worth at least 0 for those. *)
Inductive rounds (top : Q) : list candidate -> list mixture -> selection -> nat -> Prop :=
  | rounds_none : rounds top [] [] [] 0
  | rounds_whole c cs o ms s d : rounds top cs ms s d -> rounds top (c :: cs) ([(1, o)] :: ms) (o :: s) d
  | rounds_fractional c cs m ms o s d :
      shares m == 1 ->
      Forall (fun part => 0 <= fst part /\ worth (choice_of c (snd part)) <= top) m ->
      0 <= worth (choice_of c o) ->
      rounds top cs ms s d -> rounds top (c :: cs) (m :: ms) (o :: s) (S d).

(** Rounding loses at most the best single request for each fractional one. *)
Lemma rounding_loss top cs ms s d : rounds top cs ms s d -> lp_worth cs ms <= worth_of cs s + q d * top.
Proof.
  induction 1 as [ | c cs o ms s d _ IH | c cs m ms o s d all parts nonneg _ IH]; simpl;
    [change (q 0) with 0; lra | | ].
  - unfold mixed_worth. simpl. lra.
  - assert (mixed : mixed_worth c m <= top).
    { rewrite <- (Qmult_1_l top), <- all. clear - parts. unfold mixed_worth, shares.
      induction parts as [ | [share o] m [share_nonneg most] _ IH]; simpl in *; [lra | nra]. }
    change (S d) with (1 + d)%nat. rewrite q_plus. change (q 1) with 1. lra.
Qed.

(** Theorem 4, the rounding step: with at most d fractional requests, the better of the rounded selection and the best
    single request is worth at least 1 / (d + 1) of the LP solution. *)
Theorem rounding_guarantee top cs ms s d :
  rounds top cs ms s d -> lp_worth cs ms <= (q d + 1) * Qmax (worth_of cs s) top.
Proof.
  intros rounded. pose proof (rounding_loss _ _ _ _ _ rounded). pose proof (q_nonneg d).
  pose proof (Q.le_max_l (worth_of cs s) top). pose proof (Q.le_max_r (worth_of cs s) top). nra.
Qed.
